"""The figure of a data check: class counts by split, and distributions of features or pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut
from dlexp.report.figures.panel import Panel

_SPLIT_COLORS = ("#0072B2", "#D55E00", "#009E73")
_COLOR = "#0072B2"
_MOST_PANELS = 24
_LONG = 1e5  # numbers of which only few fit below a panel
_DPI = 100


def check_png(title: str, panels: Sequence[Panel]) -> bytes:
    """A PNG of all panels; those with series span the whole width."""
    wide = [panel for panel in panels if panel.series]
    small = [panel for panel in panels if not panel.series]
    shown = small[:_MOST_PANELS]
    columns = min(4, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    heights = [max(2.2, 0.9 + 0.3 * len(panel.names)) for panel in wide] + [2.3] * rows
    figure = Figure(figsize=(max(6.2, 3.1 * columns), sum(heights) + 0.5), layout="constrained", dpi=_DPI)
    further = f"; {len(small) - len(shown)} more columns not shown" if len(small) > len(shown) else ""
    figure.suptitle(f"{title}{further}", fontsize="medium")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for number, panel in enumerate(wide):
        _grouped(figure.add_subplot(grid[number, :]), panel)
    for number, panel in enumerate(shown):
        axes = figure.add_subplot(grid[len(wide) + number // columns, number % columns])
        if panel.names:
            _bars(axes, panel)
        else:
            _histogram(axes, panel)
    return as_png(figure)


def _grouped(axes: Axes, panel: Panel) -> None:
    """A group of bars per name, one bar per series, labeled with its number."""
    height = 0.8 / len(panel.series)
    for number, (name, counts) in enumerate(zip(panel.series, panel.counts, strict=True)):
        places = np.arange(len(panel.names)) + (number - (len(panel.series) - 1) / 2) * height
        bars = axes.barh(places, counts, height, label=name, color=_SPLIT_COLORS[number % 3])
        axes.bar_label(bars, fontsize=6, padding=2)
    axes.set_yticks(range(len(panel.names)), panel.names, fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _labels(axes, panel)


def _bars(axes: Axes, panel: Panel) -> None:
    axes.barh(range(len(panel.names)), panel.counts, color=_COLOR)
    axes.set_yticks(range(len(panel.names)), [cut(name, 14) for name in panel.names], fontsize="small")
    axes.invert_yaxis()
    _labels(axes, panel)


def _histogram(axes: Axes, panel: Panel) -> None:
    axes.stairs(panel.counts, panel.edges, fill=True, color=_COLOR)
    axes.ticklabel_format(style="plain", useOffset=False)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.locator_params(axis="x", nbins=3 if np.abs(panel.edges).max() >= _LONG else 5)
    axes.set_ylabel(panel.unit, fontsize="small")
    axes.set_ylim(bottom=0)
    _labels(axes, panel)


def _labels(axes: Axes, panel: Panel) -> None:
    axes.set_title(cut(panel.title, 80 if panel.series else 34), fontsize="small")
    axes.set_xlabel(panel.label, fontsize="small")
    if panel.names:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.tick_params(labelsize="small")
