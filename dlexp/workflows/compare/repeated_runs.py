"""Runs of one configuration and one seed: the same training again, which should come out the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from dlexp.artifacts.files.writing import read_lines
from dlexp.workflows.run_record.read import RunSummary

_MEASURED = ("seconds", "samples_per_s")  # columns of metrics.csv that hold times, which never repeat
_FILE = "predictions.csv"


def sameness(runs: Sequence[RunSummary]) -> str:
    """A sentence on whether runs of one configuration and one seed came out the same, and where they first do not."""
    first = runs[0]
    text = f"the {len(runs)} runs are one configuration with one seed"
    for other in runs[1:]:
        found = _difference(first, other)
        if found:
            return f"{text}, and yet differ: {found}; a comparison of configurations needs other seeds"
    if any(_splits(run) for run in runs):
        return f"{text}, and differ in nothing: the metrics of every epoch and all predictions are the same"
    return f"{text}, and differ in nothing: the metrics of every epoch are the same"


def _difference(one: RunSummary, other: RunSummary) -> str:
    """The first difference between two runs in words; "" where there is none in what both have."""
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
            return f"their predictions of {apart:,} of {len(lines[0]) - 1:,} samples of the {split} split"
    return ""


def _splits(run: RunSummary) -> set[str]:
    """The splits of which the run has predictions."""
    return {path.parent.name for path in (run.path / "eval").glob(f"*/{_FILE}")}
