"""Attention maps of a sample as PNG bytes: a panel for each layer and head.

Symbols: U target positions, T source positions.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from dlexp.metrics.reports.figures import AttentionMaps
from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

_MOST_PANELS = 24
_MOST_NAMES = 60  # positions that are named on an axis
_LETTERS = 14
_CELL = 0.17  # inches of a position
_INVISIBLE = {" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5", "": "\u2205"}


def attention_png(figure: AttentionMaps, split: str) -> bytes:
    """Weights of the source positions (columns) for each target position (rows), from white (0) to black (1)."""
    panels = [
        (f"{name}, head {head + 1}" if len(heads) > 1 else name, weights)
        for name, heads in figure.maps.items()
        for head, weights in enumerate(heads)
    ]
    left_out = len(panels) - _MOST_PANELS
    panels = panels[:_MOST_PANELS]
    columns = min(len(panels), 4)
    rows = ceil(len(panels) / columns)
    width = max(2.6, min(_CELL * len(figure.source), 9.0) + 0.9)
    height = max(1.8, min(_CELL * len(figure.target), 9.0) + 0.9)
    made = Figure(figsize=(width * columns, height * rows + 0.4), layout="constrained", dpi=110)
    for number, (title, weights) in enumerate(panels):
        axes = made.add_subplot(rows, columns, number + 1)
        image = _panel(axes, title, weights, figure)
    made.colorbar(image, ax=made.axes, shrink=0.8, label="weight")
    more = f", {left_out} more not shown" if left_out > 0 else ""
    made.suptitle(f"{split}: attention{more}", fontsize="medium")
    return as_png(made)


def _panel(axes: Axes, title: str, weights: NDArray[np.float32], figure: AttentionMaps) -> AxesImage:
    image = axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_title(title, fontsize="small")
    if len(figure.source) <= _MOST_NAMES:
        names = [_shown(name) for name in figure.source]
        turned = 90 if max(map(len, names), default=1) > 2 else 0
        axes.set_xticks(range(len(names)), names, rotation=turned, fontsize="x-small")
    if len(figure.target) <= _MOST_NAMES:
        axes.set_yticks(range(len(figure.target)), [_shown(name) for name in figure.target], fontsize="x-small")
    axes.set_xlabel("source", fontsize="x-small")
    axes.set_ylabel("output", fontsize="x-small")
    return image


def _shown(name: str) -> str:
    """A token with its blanks visible, and no sign of matplotlib's formulas."""
    return cut(_INVISIBLE.get(name, name), _LETTERS, "end").replace("$", r"\$")
