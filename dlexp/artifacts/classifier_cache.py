"""Classifiers of real data in the cache directory of the user: one file each, named by what it was trained on.

Whoever deletes the directory loses nothing but the time to train them again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.artifacts.files.reading import read_bytes
from dlexp.artifacts.files.writing import write_bytes
from dlexp.errors import DlexpError

FORMAT = 1  # of an entry; another one is trained again
_MOST = 64  # entries that are kept, those used last
_MOST_BYTES = 1 << 28  # of an entry that is read


def classifier_folder() -> Path:
    """The directory of the classifiers, which may not exist: $XDG_CACHE_HOME/dlexp/classifiers, or in ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    return base / "dlexp" / "classifiers"


def entry_name(description: Mapping[str, Any]) -> str:
    """The name of the entry for plain values that describe what a classifier is trained on, and how."""
    text = json.dumps({"format": FORMAT, **description}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def find_classifier(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """(weights, facts) of an entry; None where there is none, or it is not whole, or is that of something else.

    The file is read without running anything in it.
    """
    path = folder / f"{name}.pt"
    try:
        content = torch.load(io.BytesIO(read_bytes(path, _MOST_BYTES)), map_location="cpu", weights_only=True)
        if content["format"] != FORMAT or content["name"] != name:
            return None
        weights, facts = content["weights"], content["facts"]
        if not all(isinstance(value, Tensor) for value in weights.values()) or not isinstance(facts, dict):
            return None
        os.utime(path)
    except Exception:  # a file that is cut short raises almost anything, and the classifier can be trained again
        return None
    return dict(weights), dict(facts)


def keep_classifier(folder: Path, name: str, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
    """Write an entry, whole or not at all, and remove the oldest of too many; False where nothing can be written."""
    buffer = io.BytesIO()
    whole = {key: value.detach().cpu().clone() for key, value in weights.items()}
    torch.save({"format": FORMAT, "name": name, "weights": whole, "facts": dict(facts)}, buffer)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(folder / f"{name}.pt", buffer.getvalue(), durable=False)
    except (OSError, DlexpError):
        return False
    _remove_oldest(folder)
    return True


def _remove_oldest(folder: Path) -> None:
    entries: list[tuple[float, Path]] = []
    for path in folder.glob("*.pt"):
        with suppress(OSError):  # another process may remove it too
            entries.append((path.stat().st_mtime, path))
    for _, path in sorted(entries)[:-_MOST]:
        path.unlink(missing_ok=True)
