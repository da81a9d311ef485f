"""Grids of small images, pixel by pixel, and animations of them.

Symbols: N images, C channels (1 or 3), H and W height and width in pixels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dlexp.report.figures.fonts import font_file
from dlexp.report.figures.labels import cut

_TILE = 48  # pixels that the longer side of a tile has at least
_GAP, _MARGIN = 2, 6  # pixels
_TEXT = 12  # pixels, height of letters
_LONGEST = 24  # characters of a label
_COLORS, _STRIDE = 64, 3  # of an animation, chosen from every so many-th pixel each way
_FRAMES = 60
_FRAME, _LAST = 250, 2000  # milliseconds
_INK = (27, 31, 36)


def grid_png(
    images: NDArray[np.float64],
    columns: int,
    *,
    title: str = "",
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
) -> bytes:
    """Images (N, C, H, W) in [0, 1], row by row, each pixel as a square of whole pixels; as PNG bytes.

    Args:
        images: Values outside [0, 1] are clipped.
        columns: Images in a row.
        title: Above them.
        column_labels: Above the first columns; turned where they are wider than an image.
        row_labels: Left of the first rows.
    """
    count, _, height, width = images.shape
    columns, zoom = min(columns, count), max(1, ceil(_TILE / max(height, width)))
    pitch = (height * zoom + _GAP, width * zoom + _GAP)
    texts = [title, *column_labels, *row_labels]
    file, shown = font_file([cut(text, _LONGEST) if place else text for place, text in enumerate(texts)])
    font = ImageFont.truetype(file, _TEXT)
    title, above, beside = shown[0], shown[1 : 1 + len(column_labels)], shown[1 + len(column_labels) :]
    wide = max((font.getlength(text) for text in above), default=0)
    is_turned = wide > pitch[1]
    left = _MARGIN + (ceil(max(map(font.getlength, beside))) + _MARGIN if beside else 0)
    top = _MARGIN + (_TEXT + _MARGIN if title else 0)
    first = top + ((ceil(wide) if is_turned else _TEXT) + _MARGIN if above else 0)
    rows = ceil(count / columns)
    size = (first + rows * pitch[0] - _GAP + _MARGIN, left + columns * pitch[1] - _GAP + _MARGIN)
    size = (size[0], max(size[1], ceil(font.getlength(title)) + 2 * _MARGIN))
    canvas = np.full((*size, 3), 255, np.uint8)
    levels = np.round(255 * images.clip(0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
    for place, image in enumerate(levels.repeat(zoom, axis=1).repeat(zoom, axis=2)):
        y, x = first + place // columns * pitch[0], left + place % columns * pitch[1]
        canvas[y : y + height * zoom, x : x + width * zoom] = image
    page = Image.fromarray(canvas)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), title, _INK, font, anchor="lt")
    for place, text in enumerate(above[:columns]):
        middle = left + place * pitch[1] + width * zoom // 2
        if is_turned:
            _turned(page, text, font, middle, first - _MARGIN)
        else:
            draw.text((middle, first - _MARGIN), text, _INK, font, anchor="md")
    for place, text in enumerate(beside[:rows]):
        draw.text((_MARGIN, first + place * pitch[0] + height * zoom // 2), text, _INK, font, anchor="lm")
    return _saved(page)


def animation(frames: Sequence[bytes]) -> bytes:
    """A GIF of PNG frames in few colors, at most 60 of them, the last of which stays longer.

    Frames of another size than the last one are left out. There must be at least one.
    """
    kept = [frames[place] for place in np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES)).round().astype(int)]
    pages = [Image.open(io.BytesIO(png)).convert("RGB") for png in kept]
    pages = [page for page in pages if page.size == pages[-1].size]
    some = np.concatenate([np.asarray(page)[::_STRIDE, ::_STRIDE] for page in pages])
    palette = Image.fromarray(some).quantize(_COLORS)
    small = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
    buffer = io.BytesIO()
    durations = [_FRAME] * (len(small) - 1) + [_LAST]
    small[0].save(buffer, "GIF", save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=False)
    return buffer.getvalue()


def _turned(page: Image.Image, text: str, font: ImageFont.FreeTypeFont, middle: int, bottom: int) -> None:
    """Write a text from bottom to top."""
    label = Image.new("RGB", (ceil(font.getlength(text)) + 1, _TEXT + 4), (255, 255, 255))
    ImageDraw.Draw(label).text((0, (_TEXT + 4) // 2), text, _INK, font, anchor="lm")
    label = label.transpose(Image.Transpose.ROTATE_90)
    page.paste(label, (middle - label.width // 2, bottom - label.height))


def _saved(page: Image.Image) -> bytes:
    buffer = io.BytesIO()
    page.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
