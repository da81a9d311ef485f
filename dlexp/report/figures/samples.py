"""Figures of data as PNG bytes: a grid of images, or a histogram of each table column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

_TILE, _GAP, _BETWEEN = 72, 10, 2  # pixels: of an image, between samples, between the images of a sample
_LABEL = 16  # pixels below a sample
_DPI = 100
_WIDTH = 1200  # pixels of a row of samples, about
_COLUMN, _TARGET = "#0072B2", "#D55E00"
_MOST_COLUMNS, _MOST_BARS = 36, 12


def samples_png(title: str, pictures: Sequence[NDArray[np.uint8]], labels: Sequence[str]) -> bytes:
    """The images of each sample next to each other, with its label below.

    Args:
        title: Above the figure.
        pictures: One array per version of the samples: (B, H, W) gray or (B, H, W, 3).
        labels: B texts.
    """
    tiles = [[_tile(image) for image in images] for images in pictures]
    high, wide = tiles[0][0].shape[:2]
    step_x = len(tiles) * wide + (len(tiles) - 1) * _BETWEEN + _GAP
    columns = max(1, min(len(labels), _WIDTH // step_x))
    rows = -(-len(labels) // columns)
    step_y = high + _LABEL + _GAP
    canvas = np.full((rows * step_y, columns * step_x, 3), 255, dtype=np.uint8)
    width, height = max(canvas.shape[1], 480), canvas.shape[0]
    lines = wrap(title, max(40, width // 7))
    head = 20 * len(lines) + 10
    figure = Figure(figsize=((width + 2 * _GAP) / _DPI, (height + head) / _DPI), dpi=_DPI)
    size = (width + 2 * _GAP, height + head)
    left = _GAP / size[0]
    axes = figure.add_axes((left, 0.0, canvas.shape[1] / size[0], canvas.shape[0] / size[1]))
    for number, label in enumerate(labels):
        y, x = (number // columns) * step_y, (number % columns) * step_x
        for place, images in enumerate(tiles):
            start = x + place * (wide + _BETWEEN)
            canvas[y : y + high, start : start + wide] = images[number]
        middle = x + (step_x - _GAP) / 2
        axes.text(middle, y + high + 2, cut(label, step_x // 7), ha="center", va="top", fontsize=8)
    axes.imshow(canvas, interpolation="nearest")
    axes.set_axis_off()
    figure.text(left, 1 - 8 / size[1], "\n".join(lines), ha="left", va="top", fontsize=10)
    return as_png(figure)


def columns_png(title: str, columns: Mapping[str, NDArray[np.float64] | list[str]], targets: int) -> bytes:
    """A histogram of every column: numbers in 30 bins, categories as bars.

    Args:
        title: Above the figure.
        columns: Name -> cells, the targets first.
        targets: The number of target columns, which have another color.
    """
    shown = list(columns.items())[:_MOST_COLUMNS]
    left_out = len(columns) - len(shown)
    width = min(4, len(shown))
    height = -(-len(shown) // width)
    figure = Figure(figsize=(3.1 * width, 2.3 * height + 0.5), layout="constrained", dpi=_DPI)
    further = f"; {left_out} more columns not shown" if left_out else ""
    figure.suptitle(f"{title}{further}", fontsize="medium")
    for number, (name, cells) in enumerate(shown):
        axes = figure.add_subplot(height, width, number + 1)
        color = _TARGET if number < targets else _COLUMN
        if isinstance(cells, list):
            _bars(axes, cells, color)
        else:
            axes.hist(cells, bins=30, color=color)
            axes.ticklabel_format(style="plain", useOffset=False)
            axes.locator_params(axis="x", nbins=5)
            axes.set_ylabel("rows", fontsize="small")
        kind = " (target)" if number < targets else ""
        axes.set_title(cut(name, 34) + kind, fontsize="small")
        axes.tick_params(labelsize="small")
    return as_png(figure)


def _bars(axes: Axes, cells: Sequence[str], color: str) -> None:
    """A bar per category, the most frequent first, with the rest combined."""
    counts: list[tuple[str, int]] = Counter(cells).most_common()
    if len(counts) > _MOST_BARS:
        rest = counts[_MOST_BARS - 1 :]
        counts = [*counts[: _MOST_BARS - 1], (f"{len(rest)} others", sum(count for _, count in rest))]
    places = range(len(counts))
    axes.barh(places, [count for _, count in counts], color=color)
    axes.set_yticks(places, [cut(name, 14) for name, _ in counts])
    axes.invert_yaxis()
    axes.set_xlabel("rows", fontsize="small")


def _tile(image: NDArray[np.uint8]) -> NDArray[Any]:
    """An RGB image of about _TILE pixels; small images are enlarged by whole factors."""
    colors = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image
    largest = max(image.shape[:2])
    if largest <= _TILE:
        factor = max(1, round(_TILE / largest))
        return colors.repeat(factor, axis=0).repeat(factor, axis=1)
    scale = max(_TILE, min(largest, 112)) / largest
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(Image.fromarray(colors).resize(size, Image.Resampling.BOX))
