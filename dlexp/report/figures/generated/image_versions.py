"""Samples with what is made of them side by side, as PNG bytes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlexp.metrics.reports.figures import ImageVersions
from dlexp.report.figures.curves import as_png

_SMALL, _LARGE = 1.15, 3.2  # inches of the longer side of an image: of many samples, and of one
_ACROSS = 8  # images in a row, about
_GAP, _LABEL, _NAME, _TOP = 0.05, 0.36, 0.2, 0.3  # inches: between images, below them, of names above, of the title


def image_versions_png(figure: ImageVersions, title: str) -> bytes:
    """A group of images for each sample, with its label. Raises ValueError where the samples were not read."""
    if not figure.versions:
        raise ValueError("the samples were not read")
    count, names = len(figure.labels), list(figure.versions)
    height, width = next(iter(figure.versions.values())).shape[2:]
    side = _LARGE if count == 1 else _SMALL
    high, wide = (side * length / max(height, width) for length in (height, width))
    groups = max(1, min(count, _ACROSS // len(names)))
    rows, group = -(-count // groups), len(names) * (wide + _GAP) + 2 * _GAP
    row = high + _LABEL
    size = max(3.2, groups * group), rows * row + _TOP + _NAME
    made = Figure(figsize=size, dpi=110)
    for number, label in enumerate(figure.labels):
        line, column = divmod(number, groups)
        for place, name in enumerate(names):
            left = column * group + place * (wide + _GAP) + _GAP
            bottom = size[1] - _TOP - _NAME - line * row - high
            axes = made.add_axes((left / size[0], bottom / size[1], wide / size[0], high / size[1]))
            pixels = np.clip(np.moveaxis(figure.versions[name][number], 0, -1), 0, 1)
            axes.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
            if line == 0:
                axes.set_title(name, fontsize=7, pad=2)
            if place == 0:
                axes.text(0, -0.05, label, fontsize=6, ha="left", va="top", transform=axes.transAxes)
    made.suptitle(title, fontsize="medium", y=1 - 0.06 / size[1], va="top")
    return as_png(made)
