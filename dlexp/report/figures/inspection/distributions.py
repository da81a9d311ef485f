"""Histograms side by side as PNG bytes: of weights, gradients, outputs of layers, and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555")
_STYLES = ("--", "-", ":", "-.", "-")
_MOST = 36
_BINS = 40
_OUTSIDE = 0.002  # share of values on each side that a histogram may leave out
_DPI = 100

Series = Mapping[str, NDArray[np.float64]]


def distributions_png(title: str, panels: Mapping[str, Series], label: str, notes: Mapping[str, str]) -> bytes:
    """A panel for each name with the histogram of each series, as shares of the series.

    Args:
        title: Above the figure.
        panels: Name -> series -> (N,) values; panels after the first 36 are counted in the title.
        label: Of the horizontal axes.
        notes: Name -> text below the name of its panel.
    """
    shown = list(panels.items())[:_MOST]
    columns = min(4, max(2, ceil(len(shown) ** 0.5)))
    rows = ceil(len(shown) / columns)
    more = f" (the first {len(shown)} of {len(panels)})" if len(panels) > len(shown) else ""
    figure = Figure(figsize=(3.1 * columns, 2.3 * rows + 0.8), layout="constrained", dpi=_DPI)
    lines: dict[str, StepPatch] = {}
    for number, (name, series) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, number + 1)
        lines |= _panel(axes, series)
        note = f"\n{notes[name]}" if notes.get(name) else ""
        axes.set_title(f"{cut(name, 34, 'end')}{note}", fontsize="small")
        axes.set_xlabel(label, fontsize="x-small")
        axes.tick_params(labelsize="x-small")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    if len(lines) > 1:
        figure.legend(
            handles=list(lines.values()),
            labels=list(lines),
            loc="outside lower center",
            ncols=len(lines),
            fontsize="small",
        )
    figure.suptitle(f"{title}{more}", fontsize="medium", wrap=True)
    return as_png(figure)


def _panel(axes: Axes, series: Series) -> dict[str, StepPatch]:
    """Draw the histograms with common bins; values far outside are counted in the outermost bins."""
    filled = {name: values[np.isfinite(values)] for name, values in series.items()}
    everything = np.concatenate([*filled.values(), np.empty(0)])
    if not len(everything):
        axes.text(0.5, 0.5, "no values", ha="center", va="center", transform=axes.transAxes)
        return {}
    low, high = np.quantile(everything, [_OUTSIDE, 1 - _OUTSIDE])
    if high <= low:
        low, high = everything.min() - 0.5, everything.max() + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    made: dict[str, StepPatch] = {}
    for number, (name, values) in enumerate(filled.items()):
        counts = np.histogram(np.clip(values, low, high), edges)[0] / max(1, len(values))
        color, style = COLORS[number % len(COLORS)], _STYLES[number % len(_STYLES)]
        made[name] = axes.stairs(counts, edges, color=color, linestyle=style, linewidth=1.3, fill=len(filled) == 1)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share", fontsize="x-small")
    return made


def classes_png(title: str, names: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> bytes:
    """Shares of the classes in each split as bars, so that splits of different sizes compare: split -> (K,)."""
    figure = Figure(figsize=(7.5, max(2.4, 1.0 + 0.34 * len(names))), layout="constrained", dpi=_DPI)
    axes = figure.add_subplot()
    height = 0.8 / max(1, len(counts))
    for number, (split, numbers) in enumerate(counts.items()):
        places = np.arange(len(names)) + (number - (len(counts) - 1) / 2) * height
        shares = 100 * numbers / max(1, numbers.sum())
        axes.barh(places, shares, height, label=f"{split}, {numbers.sum():,} samples", color=COLORS[number % 5])
    axes.set_yticks(range(len(names)), [cut(name, 24) for name in names], fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel("% of the split")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(title, fontsize="medium")
    return as_png(figure)
