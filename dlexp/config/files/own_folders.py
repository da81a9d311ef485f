"""The directories of the user's own options: --config-dir, then DLEXP_CONFIG_DIR. Help and completion load this."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "DLEXP_CONFIG_DIR"


def own_folders(named: Iterable[str | Path] = ()) -> tuple[Path, ...]:
    """Return the directories that a command or a call names, then that of the environment."""
    return (*map(Path, named), *filter(None, [folder_of_variable()]))


def folder_of_variable() -> Path | None:
    """Return the directory of DLEXP_CONFIG_DIR, None if it is not set."""
    extra = os.environ.get(VARIABLE)
    return Path(extra) if extra else None
