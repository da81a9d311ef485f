"""The curves of several runs in one figure: a color and line style per group, a thick line for the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlexp.report.figures.curves import as_png

# Colorblind-safe palette of Okabe & Ito; line styles distinguish groups in grayscale.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class RunCurve:
    """The curve of a run.

    Attributes:
        values: One per epoch, NaN if undefined.
        maximize: Whether a larger value is better.
    """

    group: str
    epochs: Sequence[int]
    values: Sequence[float]
    maximize: bool


def overlay_png(curves: Sequence[RunCurve], name: str, *, narrow: bool = False) -> bytes:
    """A PNG of the metric `name` over the epochs, with the best epoch of every run marked; `narrow` for a phone."""
    figure = Figure(figsize=(4.2, 4.2) if narrow else (7.2, 4.4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    groups = list(dict.fromkeys(curve.group for curve in curves))
    for place, group in enumerate(groups):
        color = _COLORS[place % len(_COLORS)]
        style = _STYLES[(place // len(_COLORS) + place) % len(_STYLES)]
        own = [curve for curve in curves if curve.group == group]
        for curve in own:
            axes.plot(curve.epochs, curve.values, color=color, linestyle=style, linewidth=0.9, alpha=0.5)
            best = _best(curve)
            if best is not None:
                axes.plot(curve.epochs[best], curve.values[best], "o", color=color, markersize=4)
        epochs, mean = _mean(own)
        label = group if len(own) == 1 else f"{group}, mean of {len(own)}"
        axes.plot(epochs, mean, color=color, linestyle=style, linewidth=2.2, label=label)
    axes.plot([], [], "o", color="#555555", markersize=4, label="best epoch of a run")
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(figure)


def _best(curve: RunCurve) -> int | None:
    """Position of the best value, None if there is none."""
    places = [place for place, value in enumerate(curve.values) if math.isfinite(value)]
    sign = 1 if curve.maximize else -1
    return max(places, key=lambda place: sign * curve.values[place]) if places else None


def _mean(curves: Sequence[RunCurve]) -> tuple[list[int], list[float]]:
    """(epochs that all runs have, mean over the runs); a mean over fewer runs would jump where one ends."""
    shared = sorted(set.intersection(*(set(curve.epochs) for curve in curves)))
    rows = [dict(zip(curve.epochs, curve.values, strict=True)) for curve in curves]
    return shared, [float(np.mean([row[epoch] for row in rows])) for epoch in shared]
