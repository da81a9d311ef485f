"""Images above their reconstructions, as PNG bytes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlexp.metrics.reports.figures import ImagePairs
from dlexp.report.figures.curves import as_png

_ACROSS = 6  # pairs in a row
_SIDE, _ROOM, _TOP, _GAP = 0.95, 0.42, 0.35, 0.1  # inches: of an image, of its caption, of the title, between pairs
_WITHIN = 0.04  # inches between the two of a pair


def image_pairs_png(pairs: ImagePairs, split: str) -> bytes:
    """Each sample with its reconstruction below. Raises ValueError for pairs without images."""
    if pairs.originals is None or pairs.reconstructions is None:
        raise ValueError("the samples of the pairs were not read")
    across = min(_ACROSS, len(pairs.captions))
    rows = -(-len(pairs.captions) // across)
    high = 2 * _SIDE + _WITHIN + _ROOM + _GAP
    size = max(3.2, across * (_SIDE + _GAP)), rows * high + _TOP
    figure = Figure(figsize=size, dpi=110)
    images = zip(pairs.captions, pairs.originals, pairs.reconstructions, strict=True)
    for number, (caption, original, made) in enumerate(images):
        row, column = divmod(number, across)
        left, top = column * (_SIDE + _GAP) + _GAP / 2, size[1] - _TOP - row * high - _ROOM
        for place, image in enumerate((original, made)):
            bottom = top - (place + 1) * _SIDE - place * _WITHIN
            axes = figure.add_axes((left / size[0], bottom / size[1], _SIDE / size[0], _SIDE / size[1]))
            pixels = np.clip(np.moveaxis(image, 0, -1), 0, 1)
            axes.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
            if place == 0:
                axes.set_title(caption, fontsize=6, pad=2)
    figure.suptitle(f"{split}: samples above their reconstructions", fontsize="medium", y=1 - 0.06 / size[1], va="top")
    return as_png(figure)
