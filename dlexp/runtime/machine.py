"""Facts about this machine: versions, host, and the code in use."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import socket
import subprocess
from functools import cache, lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

_MAX_DIFF_BYTES = 1_000_000


@cache
def packages() -> tuple[str, ...]:
    """`name==version` of every installed distribution, sorted; read once, since each has a file to be parsed."""
    found = {f"{about['Name']}=={about['Version']}" for about in (d.metadata for d in distributions()) if about["Name"]}
    return tuple(sorted(found, key=str.lower))


def machine_facts() -> dict[str, Any]:
    """Host, system and versions, as plain values."""
    import torch

    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }


def git_state(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """(commit and whether the tree is changed, the change as a patch) of `folder`; (None, "") outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None, ""
    diff = _git(folder, "diff", "HEAD")
    dirty = bool(_git(folder, "status", "--porcelain"))
    if len(diff) > _MAX_DIFF_BYTES:
        diff = diff[:_MAX_DIFF_BYTES] + f"\n# truncated after {_MAX_DIFF_BYTES} characters\n"
    return {"commit": commit.strip(), "dirty": dirty}, diff


def source_hash(package: str) -> str | None:
    """SHA-256 over the names and contents of the Python files of a package; None if there are none."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations is not None else [origin]
    return _hash_of(origin.parent, tuple((file, *_file_version(file)) for file in files))


@lru_cache(maxsize=16)
def _hash_of(folder: Path, versions: tuple[tuple[Path, int, int, int], ...]) -> str:
    """The hash of files of these versions; runs in a row have the same, and reading hundreds of files takes long."""
    digest = hashlib.sha256()
    for file, *_ in versions:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _file_version(file: Path) -> tuple[int, int, int]:
    """Number, time of the last change, and size of a file, which a change of it changes."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
