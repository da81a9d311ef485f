"""Pixels of depths other than 8 bits: their white value, and their conversion to 8 bits.

Pillow returns samples of more than 8 bits as stored, without their maximum, and the transparent color of a PNG in the
depth of the file, even if it has reduced the pixels to 8 bits.

Symbols: H and W height and width in pixels.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_SIXTEEN = (1 << 16) - 1
_FULL_RANGE = ("PNG", "PPM", "JPEG2000")  # Pillow scales their samples of more than 8 bits to 65,535
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339  # TIFF 6.0, section 8 and section 19
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
_PNG_DEPTH = 24  # position of the bit depth in a PNG file: signature, length and name of IHDR, width, height
_REMEDY = "Convert it to 8 or 16 unsigned bits."


def white_of(image: Image) -> int:
    """The white value of the samples of an opened, not yet decoded file: 255, or more for samples of more bits.

    Raises ValueError for samples without a defined white value: floating-point, signed and 32-bit ones.
    """
    kinds = set(_tags(image, _TIFF_SAMPLE_FORMAT)) or {_UNSIGNED}
    if image.mode == "F":
        raise ValueError(f"floating-point samples have no defined white value. {_REMEDY}")
    if kinds != {_UNSIGNED}:
        raise ValueError(f"signed integers have no defined white value. {_REMEDY}")
    if not image.mode.startswith("I"):
        return 255
    if image.format in _FULL_RANGE:
        return _SIXTEEN
    bits = max(_tags(image, _TIFF_BITS), default=0)
    if image.format == "TIFF" and 8 < bits <= 16:
        return int(1 << bits) - 1
    wide = f"{bits}-bit integers" if bits else f"integers of an unknown range ({image.format})"
    raise ValueError(f"{wide} have no defined white value. {_REMEDY}")


def in_eight_bits(image: Image, white: int, opened: Image) -> Image:
    """Convert a gray image of wide integers to 8 bits, mode L, or LA with a transparent color.

    image   decoded and upright
    white   the result of `white_of`
    opened  its file
    """
    from PIL import Image as Pillow

    samples = np.asarray(image).astype(np.int64)
    if _WHITE_IS_ZERO in _tags(opened, _TIFF_PHOTOMETRIC):
        samples = white - samples
    gray = Pillow.fromarray(np.clip(samples >> (white.bit_length() - 8), 0, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Pillow.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8)))
    return gray


def with_transparency(image: Image, content: bytearray) -> Image:
    """Convert the transparent color of a PNG to the depth of its pixels, or to an alpha channel if that loses bits.

    image    opened from `content`
    """
    transparent = image.info.get("transparency")
    depth = content[_PNG_DEPTH] if image.format == "PNG" else 8
    if image.mode == "L" and isinstance(transparent, int) and depth < 8:
        image.load()
        image.info["transparency"] = transparent * (255 // ((1 << depth) - 1))
    elif image.mode == "RGB" and isinstance(transparent, tuple) and depth == 16:
        return _with_alpha(image, np.array(transparent), content)
    return image


def _with_alpha(image: Image, transparent: np.ndarray[Any, Any], content: bytearray) -> Image:
    """RGB reduced to 8 bits -> RGBA, transparent where all 16 bits equal those of the color (3,)."""
    from PIL import Image as Pillow

    found = image.copy()
    with Pillow.open(BytesIO(content)) as again:
        # Read in the other byte order, the 8 bits that Pillow keeps are the low ones.
        again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]
        low = np.asarray(again).astype(np.int64)
    wide = (np.asarray(found).astype(np.int64) << 8) + low  # (H, W, 3)
    found.info.pop("transparency")
    found.putalpha(Pillow.fromarray(np.where((wide == transparent).all(axis=2), 0, 255).astype(np.uint8)))
    return found


def _tags(image: Image, tag: int) -> tuple[int, ...]:
    """The values of a tag of a TIFF file; () without the tag and for other formats."""
    found = getattr(image, "tag_v2", {}).get(tag, ())
    return tuple(found) if isinstance(found, tuple) else (int(found),)
