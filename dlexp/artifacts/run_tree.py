"""What lies under outputs/: runs, groups of seeds, studies and sweeps, found by what is in a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Kind, which is also the folder under outputs/ -> the file that makes a directory one of it.
MARKS = {"train": "config.yaml", "tune": "study.json", "lr-find": "lr_find.json"}


def is_group(folder: Path) -> bool:
    """Whether a directory holds the runs of several seeds."""
    return not (folder / "config.yaml").is_file() and any(folder.glob("seed-*/config.yaml"))


def members(folder: Path) -> list[Path]:
    """The runs of a group, by seed."""
    return sorted(
        (path.parent for path in folder.glob("seed-*/config.yaml")), key=lambda path: int(path.name.split("-")[1])
    )


def runs_in(folder: Path) -> list[Path]:
    """The runs that a directory stands for: those of a group of seeds, or itself."""
    return members(folder) if is_group(folder) else [folder]


def directories(root: Path, kind: str) -> Iterator[Path]:
    """Every directory of a kind under the outputs folder `root`, in no order; a group of seeds gives its runs.

    Links, hidden directories and files are passed over. What is no run comes too: whoever reads it says what is wrong.
    """
    folder = root / kind
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        yield from runs_in(path) if kind == "train" else [path]


def size_of(folder: Path) -> int:
    """Bytes of the files in a directory; links count for themselves, and what goes away meanwhile for nothing."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total
