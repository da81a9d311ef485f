"""Histograms of values of samples, and bars, as PNG bytes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlexp.metrics.reports.figures import Bars, Histogram
from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut, short_labels

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MOST_NAMED = 40  # bars with readable names
_MOST_BINS = 40


def histogram_png(histogram: Histogram, split: str) -> bytes:
    """Finite values in bins that all labels share; how many others there are is in the legend."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    finite = {label: values[np.isfinite(values)] for label, values in histogram.values.items()}
    known = np.concatenate([*finite.values(), np.empty(0)])
    edges = np.histogram_bin_edges(known, bins=min(_MOST_BINS, max(5, int(len(known) ** 0.5)))).tolist()
    for number, (label, values) in enumerate(finite.items()):
        left_out = len(histogram.values[label]) - len(values)
        named = ", ".join(filter(None, (cut(label, 30), f"{left_out} not finite" if left_out else "")))
        axes.hist(values, bins=edges, alpha=0.7, color=_COLORS[number % len(_COLORS)], label=named or None)
    for label, value in histogram.marks.items():
        axes.axvline(value, color="black", linestyle="--", linewidth=1, label=cut(label, 30))
    axes.set_xlabel(histogram.x_label)
    axes.set_ylabel("samples")
    axes.set_title(f"{split}: {sum(map(len, histogram.values.values())):,} samples", fontsize="medium")
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small")
    return as_png(figure)


def bars_png(bars: Bars, split: str) -> bytes:
    """A bar for each name; of many bars every so-many-th is named."""
    figure = Figure(figsize=(min(11.0, max(4.0, 0.24 * len(bars.names) + 1.6)), 3.4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    places = np.arange(len(bars.names))
    axes.bar(places, bars.values, color=_COLORS[0])
    step = -(-len(places) // _MOST_NAMED)
    axes.set_xticks(places[::step], short_labels(list(bars.names))[::step], fontsize=7)
    axes.set_xlabel(bars.x_label)
    axes.set_ylabel(bars.y_label)
    axes.set_title(split, fontsize="medium")
    axes.grid(axis="y", alpha=0.25)
    return as_png(figure)
