"""A group of runs in one directory: the seeds of one configuration."""

from __future__ import annotations

from pathlib import Path


def is_group(folder: Path) -> bool:
    """Whether a directory holds the runs of several seeds."""
    return not (folder / "config.yaml").is_file() and any(folder.glob("seed-*/config.yaml"))


def members(folder: Path) -> list[Path]:
    """The runs of a group, by seed."""
    found = [path.parent for path in folder.glob("seed-*/config.yaml")]
    numbered = [path for path in found if path.name.removeprefix("seed-").isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.removeprefix("seed-")))
