"""Feature maps, filters and matrices as PNG bytes.

Symbols: M maps, H and W height and width, R rows, C columns.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dlexp.report.figures.curves import as_png

_MOST = 64  # maps of a figure
_LEAST, _MOST_COLUMNS = 4, 8
_TILE = 1.05  # inches
_DPI = 110
_MOST_CELLS = 400  # rows and columns of a matrix


def maps_png(
    title: str, maps: NDArray[np.float64], image: NDArray[np.uint8] | None = None, *, signed: bool = False
) -> bytes:
    """A grid of maps, all with one color scale, beside the image that they are of.

    Args:
        title: Above the figure.
        maps: (M, H, W); those after the first 64 are counted in the title.
        image: (H, W) or (H, W, 3).
        signed: Whether the scale is centered at 0, blue below and red above.
    """
    shown = maps[:_MOST]
    tiles = [image, *shown] if image is not None else [*shown]
    columns = max(_LEAST, min(_MOST_COLUMNS, ceil(len(tiles) ** 0.5)))
    rows = ceil(len(tiles) / columns)
    more = f" ({len(shown)} of {len(maps)} shown)" if len(maps) > len(shown) else ""
    figure = Figure(figsize=(_TILE * columns + 1.1, (_TILE + 0.18) * rows + 0.6), layout="constrained", dpi=_DPI)
    low, high = _limits(shown, signed)
    drawn: Any = None
    for number, tile in enumerate(tiles):
        axes = figure.add_subplot(rows, columns, number + 1)
        if image is not None and number == 0:
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title("input", fontsize="x-small")
        else:
            cmap = "RdBu_r" if signed else "viridis"
            drawn = axes.imshow(tile, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
            axes.set_title(str(number - (image is not None)), fontsize="x-small")
        axes.set_axis_off()
        axes.set(xticks=[], yticks=[])  # invisible ticks take as long as visible ones
    figure.colorbar(drawn, ax=figure.axes, shrink=0.7)
    figure.suptitle(f"{title}{more}", fontsize="medium", wrap=True)
    return as_png(figure)


def colors_png(title: str, filters: NDArray[np.float64]) -> bytes:
    """A grid of filters of three channels in color, each scaled to its own range around gray: (M, H, W, 3)."""
    shown = filters[:_MOST]
    columns = max(_LEAST, min(_MOST_COLUMNS, ceil(len(shown) ** 0.5)))
    rows = ceil(len(shown) / columns)
    more = f" ({len(shown)} of {len(filters)} shown)" if len(filters) > len(shown) else ""
    figure = Figure(figsize=(_TILE * columns + 0.4, (_TILE + 0.18) * rows + 0.6), layout="constrained", dpi=_DPI)
    for number, one in enumerate(shown):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(np.clip(0.5 + one / (2 * (np.abs(one).max() or 1.0)), 0, 1), interpolation="nearest")
        axes.set_title(str(number), fontsize="x-small")
        axes.set_axis_off()
        axes.set(xticks=[], yticks=[])  # invisible ticks take as long as visible ones
    figure.suptitle(f"{title}{more}; each scaled to its own range", fontsize="medium", wrap=True)
    return as_png(figure)


def matrix_png(title: str, values: NDArray[np.float64], labels: tuple[str, str]) -> bytes:
    """A matrix (R, C) as colors, blue below 0 and red above; `labels` name rows and columns."""
    shown = values[:_MOST_CELLS, :_MOST_CELLS]
    more = f" (the first {shown.shape[0]} x {shown.shape[1]})" if shown.shape != values.shape else ""
    figure = Figure(figsize=(8.0, max(2.6, min(7.0, 1.6 + 0.1 * len(shown)))), layout="constrained", dpi=_DPI)
    axes = figure.add_subplot()
    low, high = _limits(shown, True)
    drawn = axes.imshow(shown, cmap="RdBu_r", vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    axes.set_ylabel(labels[0])
    axes.set_xlabel(labels[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(drawn, ax=axes, shrink=0.9)
    figure.suptitle(f"{title}{more}", fontsize="medium", wrap=True)
    return as_png(figure)


def units_png(title: str, values: NDArray[np.float64]) -> bytes:
    """The outputs of single units as bars: (U,)."""
    figure = Figure(figsize=(8.0, 2.8), layout="constrained", dpi=_DPI)
    axes: Axes = figure.add_subplot()
    axes.bar(np.arange(len(values)), values, width=1.0 if len(values) > 60 else 0.8, color="#0072B2")
    axes.axhline(0, color="#555555", linewidth=0.8)
    axes.set_xlabel("unit")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("output")
    figure.suptitle(title, fontsize="medium", wrap=True)
    return as_png(figure)


def _limits(values: NDArray[np.float64], signed: bool) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    if signed:
        high = float(np.abs(finite).max()) or 1.0
        return -high, high
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)
