"""Checks of directories for new results: a valid name, and no content that would be overwritten."""

from __future__ import annotations

import re
from pathlib import Path

from dlexp.artifacts.files.writing import is_temporary
from dlexp.errors import ConfigError
from dlexp.text.quoting import command

_NAME, _MAX_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), 100
_START_UP_FILES = (
    *(".lock", "batch_size.json", "lr_find", "overrides.yaml", "command.txt", "git.diff", "env.txt"),
    *("preprocessing.json", "meta.json"),
)


def refuse_occupied(path: Path) -> None:
    """Raise ConfigError if a directory for a new run is not empty.

    Files of a run that was killed during start-up are ignored: its config.yaml is written last.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError.one("--run-dir", path, "is a file, not a directory", code="already-exists")
    if path.is_dir() and any(path.iterdir()) and not _is_killed_start(path):
        is_run = (path / "config.yaml").is_file()
        resume = f"Resume the run in it: {command('train', '--resume', path)}"
        remedy = resume if is_run else "Use a new or empty directory."
        raise ConfigError.one("--run-dir", path, "is not empty", remedy, code="already-exists")


def refuse_bad_name(where: str, name: str) -> None:
    """Raise ConfigError for a name that is not safe as the name of a directory."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or name == "latest":
        rule = f"must be at most {_MAX_NAME} letters, digits, '.', '_' and '-', the first a letter, digit or '_'"
        rule = "is reserved for a link to the newest run" if name == "latest" else rule
        raise ConfigError.one(where, name, rule, "Use another name.", code="invalid-value")


def _is_killed_start(path: Path) -> bool:
    """Return whether a directory holds only files that a run writes during start-up."""
    names = {entry.name for entry in path.iterdir() if not is_temporary(entry)}
    return ".lock" in names and names <= {*_START_UP_FILES}
