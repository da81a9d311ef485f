"""Means of several configurations with their intervals, and the value of each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import short_labels
from dlexp.report.number_format import is_share

_FRONT, _BEHIND = "#0072B2", "#7A7A7A"  # of the palette of Okabe & Ito; markers distinguish them in grayscale
_ROW = 0.34  # inches
_MOST_INCHES = 24.0


@dataclass(frozen=True)
class Bar:
    """A configuration.

    Attributes:
        values: The metric of each seed.
        low, high: The interval of the mean, None if it is unknown.
        is_front: Whether it is the best, or not distinguishable from it.
    """

    label: str
    values: Sequence[float]
    mean: float
    low: float | None
    high: float | None
    is_front: bool


def means_png(bars: Sequence[Bar], metric: str, best: str, *, narrow: bool = False) -> bytes:
    """A PNG with a row for each configuration, in the given order from top to bottom.

    Args:
        bars: The configurations.
        metric: Name of the metric, with its split.
        best: Label of the best one, "" where the others were not compared with it.
        narrow: For a phone.
    """
    height = min(_MOST_INCHES, 1.4 + _ROW * len(bars))
    figure = Figure(figsize=(4.2 if narrow else 7.2, height), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    scale = 100.0 if is_share(metric) else 1.0
    for place, bar in enumerate(bars):
        is_front = bar.is_front and bool(best)
        color, marker = (_FRONT, "o") if is_front else (_BEHIND, "s")
        axes.plot([scale * value for value in bar.values], [place] * len(bar.values), "|", color=color, markersize=9)
        if bar.low is not None and bar.high is not None:
            axes.plot([scale * bar.low, scale * bar.high], [place, place], color=color, linewidth=2.2, alpha=0.55)
        axes.plot(scale * bar.mean, place, marker, color=color, markersize=6)
    axes.set_yticks(range(len(bars)), short_labels([bar.label for bar in bars]))
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlabel(f"{metric}{' in %' if scale > 1 else ''}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4 if narrow else 8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axes.grid(axis="x", alpha=0.25)
    axes.plot([], [], "o-", color=_FRONT if best else _BEHIND, label="mean and 95 % interval over the seeds")
    axes.plot([], [], "|", color=_BEHIND, label="a seed")
    if best and not all(bar.is_front for bar in bars):
        axes.plot([], [], "s", color=_BEHIND, label=f"worse than {short_labels([best])[0]}")
    figure.legend(loc="outside lower center", ncols=1 if narrow else 3, fontsize="small", frameon=False)
    return as_png(figure)
