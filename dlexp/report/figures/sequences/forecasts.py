"""Forecasts beside what came, with bands between quantiles, as PNG bytes."""

from __future__ import annotations

import numpy as np
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from dlexp.metrics.forecast_errors import quantile_of
from dlexp.metrics.reports.figures import Forecasts
from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

_TRUE, _PREDICTED, _GRAY = "#333333", "#0072B2", "#999999"
_LETTERS = 40


def forecasts_png(figure: Forecasts, split: str) -> bytes:
    """True values as a line, each forecast as one of its own, and bands between pairs of quantiles."""
    made = Figure(figsize=(8.6, 4.2), layout="constrained", dpi=110)
    axes = made.add_subplot()
    horizon = figure.true.shape[1]
    steps = figure.begins[:, None] + np.arange(horizon)
    across = steps if figure.times is None else figure.times
    order = sorted(figure.bounds, key=quantile_of)
    for place in range(len(order) // 2):
        low, high = order[place], order[-1 - place]
        for number, at in enumerate(across):
            label = f"{quantile_of(low):g} to {quantile_of(high):g} quantile" if number == 0 else ""
            bounds = figure.bounds[low][number], figure.bounds[high][number]
            if horizon == 1:
                axes.vlines(at, *bounds, color=_PREDICTED, alpha=0.25, linewidth=3, label=label)
            else:
                axes.fill_between(at, *bounds, color=_PREDICTED, alpha=0.22, linewidth=0, label=label)
    flat, true = across.ravel(), figure.true.ravel()
    gaps = np.flatnonzero(np.diff(steps.ravel()) > 1) + 1
    for number, part in enumerate(np.split(np.arange(len(flat)), gaps)):
        axes.plot(flat[part], true[part], color=_TRUE, linewidth=1.2, label=None if number else "true")
    mark = "o" if horizon == 1 else "."
    for number, at in enumerate(across):
        shown = "forecast" if number == 0 else None
        axes.plot(at, figure.predicted[number], color=_PREDICTED, marker=mark, markersize=4, linewidth=1.4, label=shown)
        if 1 < len(steps) <= 40 and horizon > 1:
            axes.axvline(at[0] - (at[1] - at[0]) / 2, color=_GRAY, linewidth=0.5, linestyle=":")
    axes.set_xlabel("step of the series" if figure.times is None else "time")
    if figure.times is not None and figure.times.dtype.kind == "M":
        form = ConciseDateFormatter(axes.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(form)
    axes.set_ylabel(cut(figure.target, _LETTERS, "both"))
    axes.set_title(f"{split}: {len(steps)} forecasts of {horizon} step{'' if horizon == 1 else 's'}", fontsize="medium")
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(made)
