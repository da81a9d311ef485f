"""Compiled updates in the cache directory of the user: a directory each, named by the fingerprint of what it computes.

A library is machine code for one processor and one build of torch; the directory above it is named by both.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

# The second has the calls that a library leaves to torch: torch looks for it under the name of the library.
_LIBRARY, _CALLS, _FACTS = "update.so", "update.json", "facts.json"
_MOST = 200  # entries of a machine that are kept, those used last


def cache_folder() -> Path:
    """The directory of this machine's graphs, which may not exist: $XDG_CACHE_HOME/dlexp/graphs/NAME, or ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    version = f"torch-{torch.__version__}-python-{sys.version_info.major}.{sys.version_info.minor}"
    return base / "dlexp" / "graphs" / f"{version}-{platform.machine()}-{_processor()}"


def find_graph(folder: Path, name: str) -> tuple[Path, dict[str, Any]] | None:
    """(the library, its facts) of a graph, None where the cache does not have it whole or others can write it."""
    entry = folder / name
    try:
        facts = json.loads((entry / _FACTS).read_bytes())
        library = entry / _LIBRARY
        if not _is_own(entry) or not _is_own(folder) or not _is_own(library):
            return None
        if hashlib.sha256(library.read_bytes()).hexdigest() != facts["sha256"]:
            return None
        os.utime(entry)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return library, facts


def working_folder(folder: Path) -> Path:
    """A new directory to compile in, beside the entries, or elsewhere if the cache cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="dlexp-graph-"))


def keep_graph(folder: Path, name: str, working: Path, library: Path, facts: Mapping[str, Any]) -> Path:
    """Make an entry of a working directory; returns its library, or the one that another process has kept before.

    An entry appears whole or not at all. The oldest ones of too many are removed.
    """
    if library.name != _LIBRARY or library.parent != working:
        shutil.copy(library, working / _LIBRARY)
    for path in working.glob("*.wrapper.json"):
        path.rename(working / _CALLS)
    for path in working.iterdir():  # what the compiler left
        if path.name not in (_LIBRARY, _CALLS):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    digest = hashlib.sha256((working / _LIBRARY).read_bytes()).hexdigest()
    (working / _FACTS).write_text(json.dumps({**facts, "sha256": digest}))
    if working.parent != folder:
        return working / _LIBRARY
    entry = folder / name
    try:
        if entry.exists() and find_graph(folder, name) is None:
            shutil.rmtree(entry)
        working.rename(entry)
    except OSError:
        found = find_graph(folder, name)
        if found is None:
            return working / _LIBRARY
        shutil.rmtree(working, ignore_errors=True)
        return found[0]
    _remove_oldest(folder)
    return entry / _LIBRARY


def seconds_per_operation(folder: Path) -> float | None:
    """The median of what earlier compilations of this machine took for each operation, None before the first."""
    found = []
    for path in folder.glob(f"*/{_FACTS}"):
        try:
            facts = json.loads(path.read_bytes())
            found.append(float(facts["seconds"]) / max(1, int(facts["operations"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found)[len(found) // 2] if found else None


def _remove_oldest(folder: Path) -> None:
    entries = [(path.stat().st_mtime, path) for path in folder.iterdir() if (path / _FACTS).is_file()]
    for _, path in sorted(entries)[:-_MOST]:
        shutil.rmtree(path, ignore_errors=True)


def _is_own(path: Path) -> bool:
    """Whether only this user can write a file or directory: what is loaded from it runs as this user."""
    facts = path.stat()
    is_ours = not hasattr(os, "getuid") or facts.st_uid == os.getuid()
    return is_ours and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _processor() -> str:
    """The instructions that code may use here, as a short name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        words = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        words = platform.processor()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{capability}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
