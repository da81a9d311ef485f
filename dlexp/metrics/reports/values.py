"""The report of values: means over the targets, each target, and the largest errors.

Symbols: N samples, O targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, Statistic
from dlexp.metrics.confusion import Numbers
from dlexp.metrics.intervals.values import value_intervals
from dlexp.metrics.regression import ValueSamples
from dlexp.metrics.reports.classes import MOST_MISTAKES, split_undefined
from dlexp.metrics.reports.figures import Figure, SampleImages, TrueAndPredicted
from dlexp.metrics.reports.prediction_rows import ValueRows
from dlexp.metrics.reports.report import Report, Table

_MOST_IMAGES = 25
_PREDICTED = "Predicted against true values on the {split} split; a perfect prediction lies on the line."
_RESIDUALS = "Residuals on the {split} split: predicted minus true values, over the predicted values."
_WORST = "The largest errors on the {split} split, largest first."


def value_report(
    names: Sequence[str],
    indices: Numbers,
    samples: ValueSamples,
    extra: Mapping[str, Floats],
    scale: Sequence[float] = (),
    resampling: Resampling | None = None,
) -> Report:
    """The report of (N, O) values.

    The metrics are means over the targets. Of several targets the intervals of each are there too, as `height/rmse`.

    Args:
        names: O target names.
        indices: (N,) the number of each sample in its source.
        samples: the N samples.
        extra: more values of each target, such as quantiles, by name: (N, O).
        scale: deviation of each target, O numbers above 0, by which errors are compared; () for 1.
        resampling: how intervals are made; None makes none.
    """
    plain = _once(samples.statistic(), len(samples))
    metrics, undefined = split_undefined(plain, samples.why)
    per_output = {name: _of_target(plain, samples, n, extra) for n, name in enumerate(names)}
    sure = value_intervals(samples, resampling) if resampling and resampling.resamples else {}
    rows = ValueRows(indices, names, samples, extra)
    losses = samples.losses(scale or [1.0] * len(names))
    worst = np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")[:MOST_MISTAKES].copy()
    lines = rows.of(worst)
    largest = [[line[0], loss, *line[1:]] for line, loss in zip(lines, losses[worst].tolist(), strict=True)]
    figures: dict[str, Figure] = {
        f"{kind}{'' if n == 0 else f'-{n}'}": TrueAndPredicted(
            caption + ("" if n == 0 else f" Target {n + 1}."),
            name,
            samples.true[:, n],
            samples.predicted[:, n],
            is_residual=kind == "residuals",
        )
        for kind, caption in (("predicted", _PREDICTED), ("residuals", _RESIDUALS))
        for n, name in enumerate(names)
    }
    captions = [(line[1], line[2], "") for line in lines[:_MOST_IMAGES]]
    images = SampleImages("The largest errors on the {split} split.", worst[:_MOST_IMAGES].tolist(), captions)
    return Report(
        metrics,
        undefined,
        _named(sure, names, metrics, per_output),
        {
            "predictions": Table(rows.header, rows),
            "mistakes": Table(("row", "loss", *rows.header[1:]), largest, _WORST, ("row",)),
        },
        {"mistakes": images} | figures,
        {"per_output": per_output},
    )


def _of_target(
    plain: Mapping[str, float], samples: ValueSamples, n: int, extra: Mapping[str, Floats]
) -> dict[str, float | None]:
    """The metrics of target n, and of each extra value the share of true values that are not above it."""
    own = {key.partition("/")[2]: value for key, value in plain.items() if key.startswith(f"{n}/")}
    shares: dict[str, float | None] = {
        f"share_below_{more}": float((samples.true[:, n] <= bound[:, n]).mean()) for more, bound in extra.items()
    }
    return split_undefined(own, samples.why)[0] | shares


def _named(
    sure: Mapping[str, Interval],
    names: Sequence[str],
    metrics: Mapping[str, float | None],
    per_output: Mapping[str, Mapping[str, float | None]],
) -> dict[str, Interval]:
    """The intervals of metrics that have a value, with the names of the targets, of which there are several."""
    several = {f"{n}/": name for n, name in enumerate(names)} if len(names) > 1 else {}
    found = {name: each for name, each in sure.items() if metrics.get(name) is not None}
    for key, each in sure.items():
        for short, name in several.items():
            metric = key.removeprefix(short)
            if key.startswith(short) and per_output[name].get(metric) is not None:
                found[f"{name}/{metric}"] = each
    return found


def _once(statistic: Statistic, count: int) -> dict[str, float]:
    """The values of a statistic in which each sample counts once."""
    return {name: float(column[0]) for name, column in statistic(np.ones((1, count))).items()}
