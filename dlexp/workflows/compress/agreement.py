"""How often a network and its compressed one predict the same class."""

from __future__ import annotations

import csv
from pathlib import Path

from dlexp.artifacts.files.reading import is_file, read_text
from dlexp.artifacts.runs.run_dir import RunDir


def agreement(run: RunDir, split: str) -> float | None:
    """The share of the samples of an evaluated split with the same predicted class; None for tasks without classes."""
    before, after = (_predicted(run / place / "eval" / split / "predictions.csv") for place in ("before", "."))
    if not before or before.keys() != after.keys():
        return None
    return sum(before[row] == after[row] for row in before) / len(before)


def _predicted(path: Path) -> dict[str, str]:
    """Sample number -> predicted class; {} where there are none."""
    if not is_file(path):
        return {}
    rows = csv.DictReader(read_text(path).splitlines())
    if not {"row", "predicted", "log_loss"} <= set(rows.fieldnames or ()):
        return {}
    return {line["row"]: line["predicted"] for line in rows}
