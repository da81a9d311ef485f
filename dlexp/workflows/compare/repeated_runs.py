"""Comparison of runs with the same configuration and seed, which should be identical."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from dlexp.artifacts.files.writing import read_lines
from dlexp.workflows.run_record.read import RunSummary

_MEASURED = ("seconds", "samples_per_s")  # columns of metrics.csv with times, which never repeat
_FILE = "predictions.csv"


def sameness(runs: Sequence[RunSummary]) -> str:
    """A sentence on whether runs with the same configuration and seed are identical, with the first difference."""
    first = runs[0]
    text = f"the {len(runs)} runs have the same configuration and seed"
    for other in runs[1:]:
        found = _difference(first, other)
        if found:
            return f"{text}, but differ: {found}. Use other seeds to compare configurations."
    if any(_splits(run) for run in runs):
        return f"{text} and are identical in the metrics of all epochs and all predictions"
    return f"{text} and are identical in the metrics of all epochs"


def _difference(one: RunSummary, other: RunSummary) -> str:
    """The first difference between two runs in words; "" if everything that both have is the same."""
    for number, (row, twin) in enumerate(zip_longest(one.epochs, other.epochs), start=1):
        if row is None or twin is None:
            return f"{one.path} has {len(one.epochs)} epochs and {other.path} {len(other.epochs)}"
        for name in row:
            if name not in _MEASURED and name in twin and row[name] != twin[name]:
                return f"{name} of epoch {number} is {row[name]} in {one.path} and {twin[name]} in {other.path}"
    for split in sorted(_splits(one) & _splits(other)):
        lines = [read_lines(run.path / "eval" / split / _FILE) for run in (one, other)]
        apart = sum(line != twin for line, twin in zip_longest(*map(sorted, lines)))
        if apart:
            return f"the predictions of {apart:,} of {len(lines[0]) - 1:,} samples of the {split} split"
    return ""


def _splits(run: RunSummary) -> set[str]:
    """The splits with saved predictions."""
    return {path.parent.name for path in (run.path / "eval").glob(f"*/{_FILE}")}
