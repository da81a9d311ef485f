"""The format number of run directories, studies, sweeps and checkpoints.

Increase `FORMAT` with every change that the reading code cannot handle. Files without a number have the current format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.files.writing import read_json
from dlexp.errors import DlexpError

FORMAT = 1
KEY = "format"
FILES = ("meta.json", "study.json", "jobs.json", "ensemble.json")  # with a format number


def refuse_other_format(place: Path | str, content: Mapping[str, Any]) -> None:
    """Raise DlexpError if the content of the file or study `place` has another format number."""
    found = content.get(KEY, FORMAT)
    if found != FORMAT:
        raise DlexpError(
            f"{place} has format {found}, but this version of dlexp requires format {FORMAT}. Use the version of dlexp "
            "that wrote it.",
            code="incompatible-run",
        )


def refuse_other_run_format(folder: Path) -> None:
    """Raise DlexpError if the run in `folder` has another format number."""
    path = folder / "meta.json"
    found = read_json(path) if is_there(path) else {}
    if isinstance(found, Mapping):
        refuse_other_format(path, found)
