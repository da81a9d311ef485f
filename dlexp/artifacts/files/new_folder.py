"""What a directory for new results must be: a good name, and nothing in it that could be lost."""

from __future__ import annotations

import re
from pathlib import Path

from dlexp.artifacts.files.writing import is_temporary
from dlexp.errors import ConfigError
from dlexp.text.quoting import command

_NAME, _MAX_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), 100
_BEFORE_IT_IS_A_RUN = (
    *(".lock", "batch_size.json", "lr_find", "overrides.yaml", "command.txt", "git.diff", "env.txt"),
    *("preprocessing.json", "meta.json"),
)


def refuse_occupied(path: Path) -> None:
    """Raise ConfigError when a directory given for a new run holds something already.

    What a run that was killed before it began has left counts as nothing: its config.yaml is written last.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError.one("--run-dir", path, "is a file", code="already-exists")
    if path.is_dir() and any(path.iterdir()) and not _is_a_start_that_was_killed(path):
        is_run = (path / "config.yaml").is_file()
        again = f"{command('train', '--resume', path)} continues the run in it"
        remedy = again if is_run else "name a new or empty directory"
        raise ConfigError.one("--run-dir", path, "is not empty", remedy, code="already-exists")


def refuse_bad_name(where: str, name: str) -> None:
    """Raise ConfigError for a name that a person gives to a directory and that is none to be sure of."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or name == "latest":
        rule = f"is a directory's name: letters, digits, '.', '_' and '-', not first '.' or '-', {_MAX_NAME} at most"
        raise ConfigError.one(where, name, rule, "`latest` is taken" if name == "latest" else "")


def _is_a_start_that_was_killed(path: Path) -> bool:
    """Whether a directory holds nothing but what a run writes before it is one, so that nothing is lost in it."""
    names = {entry.name for entry in path.iterdir() if not is_temporary(entry)}
    return ".lock" in names and names <= {*_BEFORE_IT_IS_A_RUN}
