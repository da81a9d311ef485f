"""The report of values of each sample, such as reconstruction errors, and of the latents behind them.

Symbols: N samples, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlexp.metrics.bootstrap import Floats, Resampling
from dlexp.metrics.confusion import Numbers
from dlexp.metrics.generative.latents import COLLAPSED, LatentUse
from dlexp.metrics.generative.sample_values import SampleValues
from dlexp.metrics.intervals.means import mean_intervals
from dlexp.metrics.reports.figures import Bars, Figure, Histogram, ImagePairs, Scatter
from dlexp.metrics.reports.report import Report, Table
from dlexp.specs import ClassSpec, DataSpec

_MOST_WORST, _EACH = 25, 6
_WORST = "Samples of the {{split}} split with the largest {score}, largest first."
_HISTOGRAM = "The {score} of the samples of the {{split}} split."
_PAIRS = "Samples of the {split} split above their reconstructions: the best, those in the middle, and the worst."
_PLANE = "The latents of the samples of the {split} split"
_LATENTS = "What each latent carries on the {split} split, in nats: the largest first."


def sample_report(
    spec: DataSpec,
    state: SampleValues,
    metrics: Mapping[str, float],
    resampling: Resampling | None,
    has_reconstructions: bool = False,
) -> Report:
    """Metrics with intervals, a table of all samples, the worst ones, and figures of their values and latents.

    Args:
        spec: Of the data.
        state: At least one sample.
        metrics: Means of the values, and more.
        resampling: How intervals are made; None makes none.
        has_reconstructions: Whether the outputs of the network are reconstructions of its inputs.
    """
    values, indices, classes = state.values(), state.indices(), state.classes()
    score = state.names[0]  # by which samples are put in order: larger is worse
    named = spec.targets.names if isinstance(spec.targets, ClassSpec) and classes is not None else ()
    labels = [] if classes is None or not named else [named[number] for number in classes.tolist()]
    header = ("row", *(("class",) if labels else ()), *values)
    rows = [
        [index, *((labels[n],) if labels else ()), *line]
        for n, (index, line) in enumerate(
            zip(indices.tolist(), np.stack(list(values.values()), axis=1).tolist(), strict=True)
        )
    ]
    order = np.argsort(-np.nan_to_num(values[score], nan=np.inf), kind="stable")
    worst = [rows[place] for place in order[:_MOST_WORST].tolist()]
    intervals = mean_intervals({name: values[name] for name in values if name in metrics}, resampling)
    figures: dict[str, Figure] = {}
    if has_reconstructions:
        figures["reconstructions"] = ImagePairs(_PAIRS, *_chosen(order, values[score], indices, score))
    figures["scores"] = Histogram(_HISTOGRAM.format(score=score), score, {"": values[score]})
    latents = state.latents()
    if latents is not None and len(latents) > 1:
        figures["latents"] = _plane(np.asarray(latents, np.float64), classes, named)
    return Report(
        dict(metrics),
        intervals=intervals,
        tables={
            "predictions": Table(header, rows, labels=("row", "class")),
            "mistakes": Table(header, worst, _WORST.format(score=score), ("row", "class")),
        },
        figures=figures,
    )


def latent_report(report: Report, use: LatentUse) -> Report:
    """`report` with the nats of each latent as a table and a figure."""
    kl, deviation = use.kl(), use.deviation_of_means()
    order = np.argsort(-kl, kind="stable").tolist()
    rows = [[n, float(kl[n]), float(deviation[n]), "yes" if kl[n] < COLLAPSED else "no"] for n in order]
    table = Table(("latent", "kl", "deviation of its mean", "collapsed"), rows, _LATENTS, ("latent", "collapsed"))
    bars = Bars(_LATENTS, "latent", "KL (nats)", [str(n) for n in order], kl[order])
    return replace(
        report,
        tables={**report.tables, "latents": table},
        figures={**report.figures, "kl": bars},
        facts={**report.facts, "latents": len(kl)},
    )


def _chosen(order: Numbers, values: Floats, indices: Numbers, score: str) -> tuple[list[int], list[str]]:
    """Positions in the split of the best, middle and worst samples, and a caption for each.

    Args:
        order: (N,) positions, the worst first.
    """
    each = min(_EACH, len(order))
    middle = max(0, (len(order) - each) // 2)
    groups = {"best": order[::-1][:each], "median": order[::-1][middle : middle + each], "worst": order[:each][::-1]}
    places = [int(place) for chosen in groups.values() for place in chosen]
    captions = [
        f"{name}: row {indices[place]}\n{score} {values[place]:.3g}"
        for name, chosen in groups.items()
        for place in chosen
    ]
    return places, captions


def _plane(latents: Floats, classes: Numbers | None, names: Sequence[str]) -> Scatter:
    """Two latents as they are, more of them by their first two principal components."""
    points, axes, caption = latents, "latents 0 and 1", f"{_PLANE}."
    if latents.shape[1] == 1:
        points, axes = np.concatenate([latents, np.zeros_like(latents)], axis=1), "the only latent"
    elif latents.shape[1] > 2:
        centered = latents - latents.mean(axis=0)
        spread, directions = np.linalg.eigh(centered.T @ centered)
        share = float(spread[-2:].sum() / spread.sum()) if spread.sum() > 0 else 0.0
        points = centered @ directions[:, [-1, -2]]
        axes = f"two principal components, {100 * share:.0f} % of the variance"
        caption = f"{_PLANE}, by the two principal components that hold {100 * share:.0f} % of their variance."
    return Scatter(caption, axes, points, classes if names else None, names)
