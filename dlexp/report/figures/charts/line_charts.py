"""Line charts side by side as PNG bytes, drawn with few artists.

matplotlib's axes take half a second for five panels: most of it goes into making ticks and into a layout that measures
all of them several times. Every run ends with such a figure, so its layout is computed once, from the widest label.

Lengths are in pixels from the lower left corner of the figure; symbols: E points of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from dlexp.report.figures.charts.axis_scale import AxisScale
from dlexp.report.figures.charts.pixel_text import DPI, PixelText
from dlexp.report.figures.fonts import make_readable
from dlexp.report.figures.png import png_bytes

_Style = Literal["-", "--", ":", "none"]

_PANEL = (462, 341)  # pixels of a panel
_NOTE = 20  # of a line below all panels
_POINT = DPI / 72
_LABEL, _TITLE, _LEGEND = 10.0, 12.0, 25 / 3  # points
_TICK, _PAD, _GAP = 3.5 * _POINT, 3.5 * _POINT, 4 * _POINT
_BOTTOM = round(_TICK + _PAD + 2.6 * _LABEL * _POINT + _GAP)
_TOP = round(_TITLE * _POINT + 2.4 * _GAP)
_RIGHT = round(3 * _GAP)
_CORNERS = ((1, 1), (0, 1), (0, 0), (1, 0), (1, 0.5), (0, 0.5), (0.5, 0), (0.5, 1), (0.5, 0.5))


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend: how its curve or mark is drawn, and its text."""

    label: str
    color: str
    style: _Style = "-"
    marker: str = ""


@dataclass(frozen=True)
class ChartCurve:
    """A curve (E,), in which values that are not finite are gaps; `marker` is drawn at each point."""

    values: Sequence[float]
    look: LegendEntry


@dataclass(frozen=True)
class LineChart:
    """One panel.

    Attributes:
        positions: (E,) places of the points on the horizontal axis.
        curves: The curves.
        horizontal, vertical: The axes.
        line: A vertical line at a position, and how it is drawn.
        star: A mark at (position, value), and its label.
        legend: What the legend explains; no legend if it is empty.
    """

    title: str
    axis: str
    positions: Sequence[float]
    curves: Sequence[ChartCurve]
    horizontal: AxisScale
    vertical: AxisScale
    line: tuple[float, LegendEntry] | None = None
    star: tuple[float, float, LegendEntry] | None = None
    legend: tuple[LegendEntry, ...] = ()


@dataclass(frozen=True)
class _Frame:
    """Where the axes of a panel are."""

    left: float
    bottom: float
    right: float
    top: float


def line_charts_png(charts: Sequence[LineChart], columns: int) -> bytes:
    """Charts in rows of `columns`."""
    rows = -(-len(charts) // columns)
    size = (columns * _PANEL[0], rows * _PANEL[1])
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    texts = [_ChartTexts(chart) for chart in charts]
    make_readable(figure, [text for own in texts for text in own.all()])
    if note := _NOTE if figure.get_supxlabel() else 0:
        figure.set_size_inches(size[0] / DPI, (size[1] + note) / DPI)
    for number, (chart, own) in enumerate(zip(charts, texts, strict=True)):
        row, column = divmod(number, columns)
        same_column = [texts[other].width() for other in range(column, len(charts), columns)]
        corner = (column * _PANEL[0], note + size[1] - (row + 1) * _PANEL[1])
        frame = _Frame(
            corner[0] + round(max(same_column) + _TICK + _PAD + 2 * _GAP),
            corner[1] + _BOTTOM,
            corner[0] + _PANEL[0] - _RIGHT,
            corner[1] + _PANEL[1] - _TOP,
        )
        for artist in (*_drawn(chart, frame), *own.placed(chart, frame), *_legend(chart, frame, own)):
            figure.add_artist(artist)
    return png_bytes(canvas)


class _ChartTexts:
    """The texts of a chart, made before anything is placed: fonts may replace characters."""

    def __init__(self, chart: LineChart) -> None:
        self.title = PixelText(chart.title, _TITLE, "center", "baseline")
        self.axis = PixelText(chart.axis, _LABEL, "center", "top")
        self.across = [PixelText(label, _LABEL, "center", "top") for label in chart.horizontal.labels]
        self.up = [PixelText(label, _LABEL, "right", "center_baseline") for label in chart.vertical.labels]
        self.legend = [PixelText(entry.label, _LEGEND, "left", "center_baseline") for entry in chart.legend]
        self._width: float | None = None

    def all(self) -> list[PixelText]:
        """Every text."""
        return [self.title, self.axis, *self.across, *self.up, *self.legend]

    def width(self) -> float:
        """Pixels of the longest label of the vertical axis."""
        if self._width is None:
            self._width = max((text.width() for text in self.up), default=0.0)
        return self._width

    def placed(self, chart: LineChart, frame: _Frame) -> list[PixelText]:
        """Title and labels around the axes."""
        middle = (frame.left + frame.right) / 2
        self.title.set_position((middle, frame.top + 1.5 * _GAP))
        below = frame.bottom - _TICK - _PAD
        self.axis.set_position((middle, below - 1.3 * _LABEL * _POINT - _GAP / 2))
        for text, x in zip(self.across, _across(chart, frame, chart.horizontal.ticks), strict=True):
            text.set_position((x, below))
        for text, y in zip(self.up, _up(chart, frame, chart.vertical.ticks), strict=True):
            text.set_position((frame.left - _TICK - _PAD, y))
        return [self.title, self.axis, *self.across, *self.up]


def _across(chart: LineChart, frame: _Frame, positions: Sequence[float]) -> NDArray[np.float64]:
    return frame.left + chart.horizontal.share(positions) * (frame.right - frame.left)


def _up(chart: LineChart, frame: _Frame, values: Sequence[float]) -> NDArray[np.float64]:
    return frame.bottom + chart.vertical.share(values) * (frame.top - frame.bottom)


def _drawn(chart: LineChart, frame: _Frame) -> list[Artist]:
    """Grid, curves, marks and axes of a panel, in the order in which they cover each other."""
    across = np.floor(_across(chart, frame, chart.horizontal.ticks)) + 0.5
    up = np.floor(_up(chart, frame, chart.vertical.ticks)) + 0.5
    grid = [((x, frame.bottom), (x, frame.top)) for x in across] + [((frame.left, y), (frame.right, y)) for y in up]
    ticks = [((x, frame.bottom - _TICK), (x, frame.bottom)) for x in across]
    ticks += [((frame.left - _TICK, y), (frame.left, y)) for y in up]
    found: list[Artist] = [
        LineCollection(grid, colors="#b0b0b0", linewidths=0.8, alpha=0.25, transform=None),
        LineCollection(ticks, colors="black", linewidths=0.8, transform=None),
    ]
    places = _across(chart, frame, chart.positions)
    for curve in chart.curves:
        found.append(_line(places, _up(chart, frame, curve.values), curve.look))
    if chart.line is not None:
        x = float(_across(chart, frame, [chart.line[0]])[0])
        found.append(_line([x, x], [frame.bottom, frame.top], chart.line[1]))
    if chart.star is not None and math.isfinite(chart.star[1]):
        place = _across(chart, frame, [chart.star[0]]), _up(chart, frame, [chart.star[1]])
        found.append(_line(*place, chart.star[2]))
    corner, size = (frame.left + 0.5, frame.bottom + 0.5), (frame.right - frame.left, frame.top - frame.bottom)
    found.append(Rectangle(corner, *size, fill=False, linewidth=0.8, edgecolor="black", transform=None))
    return found


def _line(
    across: Sequence[float] | NDArray[np.float64], up: Sequence[float] | NDArray[np.float64], look: LegendEntry
) -> Line2D:
    """A curve or a mark."""
    is_star = look.marker == "*"
    return Line2D(
        across,
        up,
        color=look.color,
        linestyle=look.style,
        linewidth=1.5,
        marker=look.marker or None,
        markersize=12 if is_star else 6,
        markeredgecolor="white" if is_star else look.color,
        transform=None,
    )


def _legend(chart: LineChart, frame: _Frame, texts: _ChartTexts) -> list[Artist]:
    """The legend, where the fewest points of curves are."""
    if not chart.legend:
        return []
    em = _LEGEND * _POINT
    width = 2 * em + max(text.width() for text in texts.legend) + 2 * em
    pitch = 1.5 * em
    height = pitch * len(chart.legend) + 0.5 * em
    left, bottom = _free_corner(chart, frame, (width, height), em / 2)
    found: list[Artist] = [
        Rectangle((left, bottom), width, height, facecolor="white", edgecolor="#cccccc", alpha=0.8, transform=None)
    ]
    for number, (entry, text) in enumerate(zip(chart.legend, texts.legend, strict=True)):
        y = bottom + height - 0.25 * em - pitch * (number + 0.5)
        start = left + 0.8 * em
        is_point = entry.style == "none"
        ends = [start + em] if is_point else [start, start + 2 * em]
        found.append(_line(ends, [y] * len(ends), entry))
        text.set_position((start + 2.8 * em, y))
        found.append(text)
    return found


def _free_corner(chart: LineChart, frame: _Frame, size: tuple[float, float], gap: float) -> tuple[float, float]:
    """The lower left corner of a box within the axes that covers the fewest points."""
    places = _across(chart, frame, chart.positions)
    points = [(places, _up(chart, frame, curve.values)) for curve in chart.curves]
    if chart.line is not None:
        points.append((_across(chart, frame, [chart.line[0]] * 9), np.linspace(frame.bottom, frame.top, 9)))
    room = (frame.right - frame.left - size[0] - 2 * gap, frame.top - frame.bottom - size[1] - 2 * gap)
    found = []
    for order, (across, up) in enumerate(_CORNERS):
        left, bottom = frame.left + gap + across * room[0], frame.bottom + gap + up * room[1]
        covered = sum(_covered(x, y, (left, bottom), size) for x, y in points)
        found.append((covered, order, left, bottom))
    return min(found)[2:]


def _covered(
    across: NDArray[np.float64], up: NDArray[np.float64], corner: tuple[float, float], size: tuple[float, float]
) -> int:
    """Points within a box of a curve, and of the straight lines between its points."""
    if not len(across):
        return 0
    order = np.linspace(0, len(across) - 1, 4 * len(across))
    x, y = (np.interp(order, np.arange(len(across)), values) for values in (across, up))
    inside = (corner[0] <= x) & (x <= corner[0] + size[0]) & (corner[1] <= y) & (y <= corner[1] + size[1])
    return int(inside.sum())
