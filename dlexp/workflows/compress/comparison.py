"""A metric before and after, with the interval of their difference on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from dlexp.errors import ConfigError
from dlexp.metrics.intervals.paired_blocks import over_blocks
from dlexp.metrics.intervals.paired_difference import mcnemar, over_samples
from dlexp.workflows.compare.predictions import read_scores
from dlexp.workflows.compare.verdict import verdict
from dlexp.workflows.run_record.read import RunSummary

_LEVEL = 0.95
_SEED = 0  # of the resampling, as that of `dlexp compare`


def paired_difference(
    names: tuple[str, str], runs: tuple[RunSummary, RunSummary], split: str, metric: str | None
) -> dict[str, Any]:
    """The metric of two networks and their difference, the second minus the first, from their saved predictions.

    Args:
        names: What the two are called in the verdict.
        runs: Both evaluated on `split`.
        metric: None for that of the task.

    Returns:
        The content of compress.json under `metric`; `unpaired` says why there is no interval, where there is none.
    """
    try:
        scores = read_scores([[runs[0]], [runs[1]]], metric, split)
    except ConfigError as error:
        if metric is not None:
            raise
        return {**_monitored(runs, split), "unpaired": str(error)}
    first, second = scores.groups
    measure, blocks = scores.measure, scores.blocks
    is_right = measure.name in ("accuracy", "exact_match") and all(
        np.isin(g, (0.0, 1.0)).all() for g in (first, second)
    )
    if blocks is None:
        (found,) = over_samples([(second, first)], _LEVEL, seed=_SEED, zero_or_one=is_right)
    else:
        found = over_blocks(second, first, blocks, _LEVEL)
    ahead, behind, of_ahead = names[1], names[0], found
    if (found.value > 0) != measure.maximize and found.value != 0:
        ahead, behind = names
        of_ahead = type(found)(
            -found.value, -found.high, -found.low, found.level, found.p_value, found.about, found.seeds, found.samples
        )
    test = mcnemar(second[0] > 0, first[0] > 0) if is_right else None
    return {
        "name": f"{split}/{measure.name}",
        "maximize": measure.maximize,
        "before": float(first.mean()),
        "after": float(second.mean()),
        "difference": asdict(found),
        "scale": measure.scale,
        "unit": measure.unit,
        "samples": scores.samples,
        "mcnemar": None if test is None else asdict(test),
        "verdict": verdict(ahead, behind, of_ahead, measure),
    }


def _monitored(runs: tuple[RunSummary, RunSummary], split: str) -> Mapping[str, Any]:
    """The monitored metric of both, or the first that both have."""
    name = runs[0].monitor.partition("/")[2]
    key = f"{split}/{name}"
    if not all(key in run.metrics for run in runs):
        key = next((k for k in runs[0].metrics if k.startswith(f"{split}/") and k in runs[1].metrics), key)
    before, after = (run.metrics.get(key) for run in runs)
    direction = runs[0].directions.get(key.partition("/")[2])
    return {"name": key, "maximize": direction == "max", "before": before, "after": after, "difference": None}
