"""Figures of samples beside real data as PNG bytes: bars of classes, points of a plane."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlexp.metrics.reports.figures import ClassShares, Points
from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import short_labels

_COLORS = ("#0072B2", "#D55E00", "#009E73")  # Okabe & Ito
_GRAY = "#999999"
_MOST_NAMES = 60  # with readable names


def class_shares_png(figure: ClassShares, split: str) -> bytes:
    """Bars side by side, those of each name together."""
    count, number = len(figure.names), len(figure.series)
    made = Figure(figsize=(min(14.0, max(4.8, 0.45 * count + 1.5)), 3.6), layout="constrained", dpi=110)
    axes = made.add_subplot()
    width = 0.8 / max(1, number)
    for place, (label, heights) in enumerate(figure.series.items()):
        at = np.arange(count) + (place - (number - 1) / 2) * width
        axes.bar(at, heights, width, label=label, color=_COLORS[place % len(_COLORS)])
    if count <= _MOST_NAMES:
        labels = short_labels(figure.names)
        axes.set_xticks(range(count), labels, rotation=90 if max(map(len, labels), default=0) > 3 else 0, fontsize=8)
    axes.set_ylabel("share")
    axes.set_title(split, fontsize="medium")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(made)


def points_over_png(figure: Points, split: str) -> bytes:
    """Points of several sets; the axes show all of the first one, and how many of the others are outside."""
    made = Figure(figsize=(4.8, 4.8), layout="constrained", dpi=110)
    axes = made.add_subplot()
    first = next(iter(figure.series.values()))
    low, high = first.min(axis=0), first.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-9)
    low, high = low - margin, high + margin
    for number, (label, points) in enumerate(figure.series.items()):
        outside = int((~((points >= low) & (points <= high)).all(axis=1)).sum())
        name = f"{label} ({outside} outside)" if outside else label
        color = _GRAY if not number else _COLORS[(number - 1) % len(_COLORS)]
        axes.scatter(points[:, 0], points[:, 1], s=6, color=color, alpha=0.5, linewidths=0, label=name)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_title(split, fontsize="medium")
    axes.legend(fontsize="small")
    return as_png(made)
