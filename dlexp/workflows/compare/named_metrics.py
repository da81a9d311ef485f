"""Metrics that runs name with `metrics=[...]`: scores of samples that one is a mean of, and the splits that have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.config.check.metrics import requests_of
from dlexp.metrics.selection.request import MetricRequest
from dlexp.workflows.run_record.read import RunSummary

Table = Mapping[str, NDArray[Any]]
Scorer = Callable[[Table], NDArray[np.float64]]

USUAL = ("accuracy", "balanced_accuracy", "log_loss", "mae", "mse")
_OF_SAMPLES = ("recall", "specificity", "cost", "within")


def named_request(run: RunSummary, name: str) -> MetricRequest | None:
    """The metric `name` that a run names, None for any other."""
    return next((request for request in requests_of(run.config) if request.name == name), None)


def sample_scorer(run: RunSummary, name: str, texts: Mapping[str, int]) -> Scorer | None:
    """A function from a table of predictions to scores (N,) whose mean is the metric; None where it is no such mean.

    Args:
        run: A run that names the metric.
        name: Its name.
        texts: Text -> number of the classes in the table, complete when the function is called.
    """
    request = named_request(run, name)
    if request is None or request.base not in _OF_SAMPLES:
        return None
    if request.base == "within":
        return lambda table: _within(table, request)
    if request.base == "cost":
        classes = [str(each) for each in run.meta.get("outputs", ())]
        return lambda table: _costs(table, np.asarray(request.arguments["matrix"], np.float64), classes, texts)
    is_recall = request.base == "recall"
    return lambda table: _of_class(table, texts.get(request.output, -1), is_recall)


def shared_name(runs: Sequence[RunSummary], metric: str, split: str | None) -> str:
    """`split/metric` of the first split on which all runs have the metric, "" if there is none."""
    for part in (split,) if split else ("test", "val"):
        if all(f"{part}/{metric}" in run.metrics for run in runs):
            return f"{part}/{metric}"
    return ""


def _of_class(table: Table, number: int, is_recall: bool) -> NDArray[np.float64]:
    """Recall or specificity of the class `number`: the share of its samples, or of the others, that are right."""
    counted = (table["true"] == number) == is_recall
    right = counted & ((table["predicted"] == number) == is_recall)
    return np.asarray(right * (len(counted) / max(1, int(counted.sum()))), np.float64)


def _costs(
    table: Table, matrix: NDArray[np.float64], classes: Sequence[str], texts: Mapping[str, int]
) -> NDArray[np.float64]:
    places = np.zeros(max(texts.values(), default=0) + 1, np.int64)
    for place, name in enumerate(classes):
        if name in texts:
            places[texts[name]] = place
    found: NDArray[np.float64] = matrix[places[table["true"]], places[table["predicted"]]]
    return found


def _within(table: Table, request: MetricRequest) -> NDArray[np.float64]:
    names = [column.removeprefix("true ") for column in table if column.startswith("true ")]
    own = [name for name in names if request.output in ("", name)]
    hits = [
        np.abs(table[f"predicted {name}"] - table[f"true {name}"]) <= request.arguments["tolerance"] for name in own
    ]
    return np.asarray(np.mean(np.stack(hits), axis=0), np.float64)
