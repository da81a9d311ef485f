"""Texts that are drawn once for all panels and figures of a process, and then copied.

Drawing its texts takes two thirds of the time of a chart, and most of them are the same in its panels, and in the
charts of the runs of a group: labels of axes, titles, epochs.
"""

from __future__ import annotations

import math
from copy import copy
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from numpy.typing import NDArray

DPI = 110
Across = Literal["left", "center", "right"]
Up = Literal["top", "baseline", "center_baseline"]
_MARGIN = 2  # pixels around a text
_KEPT = 1024  # texts


class PixelText(Text):
    """A black text of one line, placed to whole pixels of a figure of `DPI`."""

    def __init__(self, content: str, points: float, across: Across, up: Up) -> None:
        super().__init__(
            0,
            0,
            content,
            size=points,
            horizontalalignment=across,
            verticalalignment=up,
            parse_math=False,  # a class named $x_{$ is not a formula
            transform=None,
        )
        self._across, self._up = across, up

    def draw(self, renderer: Any) -> None:
        """Copy the text to its place."""
        if not self.get_text():
            return
        left, bottom, image = _drawn(self.get_text(), copy(self.get_fontproperties()), self._across, self._up)
        x, y = self.get_position()
        renderer.draw_image(renderer.new_gc(), round(x) + left, round(y) + bottom, image)

    def width(self) -> float:
        """Pixels of the text."""
        return _size(self.get_text(), copy(self.get_fontproperties()))[0]


@lru_cache(_KEPT)
def _size(content: str, font: FontProperties) -> tuple[float, float, float]:
    """(width, height, descent) of a text in pixels."""
    found = RendererAgg(1, 1, DPI).get_text_width_height_descent(content, font, False)  # type: ignore[no-untyped-call]
    return float(found[0]), float(found[1]), float(found[2])


@lru_cache(_KEPT)
def _drawn(content: str, font: FontProperties, across: Across, up: Up) -> tuple[int, int, NDArray[np.uint8]]:
    """A text as pixels (H, W, 4) from the bottom up, and where their lower left corner is from its place."""
    width, height, _ = _size(content, font)
    reach = math.ceil(max(width, 2 * height)) + _MARGIN  # on all sides of the place
    text = Text(reach, reach, content, horizontalalignment=across, verticalalignment=up, parse_math=False)
    text.set_fontproperties(font)
    renderer = RendererAgg(2 * reach, 2 * reach, DPI)  # type: ignore[no-untyped-call]
    text.set_transform(None)
    text.set_figure(Figure(dpi=DPI))
    text.draw(renderer)
    pixels = np.asarray(renderer.buffer_rgba())[::-1]  # type: ignore[no-untyped-call]
    rows, columns = (np.flatnonzero(pixels[..., 3].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, np.zeros((1, 1, 4), np.uint8)
    part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return int(columns[0]) - reach, int(rows[0]) - reach, np.ascontiguousarray(part)
