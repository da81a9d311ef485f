"""The metrics of several runs of one configuration: mean, standard deviation and number of each."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlexp.workflows.run_record.read import RunSummary


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (n - 1; None for one run) and number of runs of a metric."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Group:
    """Runs of one configuration.

    Attributes:
        metrics: Name (val/loss, test/accuracy, seconds_per_epoch, parameters, weights_bytes) -> spread.
    """

    label: str
    runs: tuple[Path, ...]
    seeds: tuple[int, ...]
    metrics: Mapping[str, Spread]


def metric_spreads(group: Sequence[RunSummary]) -> dict[str, Spread]:
    """The metrics that all runs of the group have, time per epoch, parameters and size of the best weights in bytes."""
    rows = [{**run.metrics, **_cost(run)} for run in group]
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: _spread([row[name] for row in rows]) for name in shared}


def _cost(run: RunSummary) -> dict[str, float]:
    weights = run.path / "checkpoints" / "best.pt"
    found = {"seconds_per_epoch": run.seconds / len(run.epochs)} if run.epochs else {}
    found |= {"parameters": run.meta["parameters"]} if "parameters" in run.meta else {}
    return found | ({"weights_bytes": weights.stat().st_size} if weights.is_file() else {})


def _spread(values: Sequence[float]) -> Spread:
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))
