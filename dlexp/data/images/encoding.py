"""Pixels as the bytes of a PNG file.

Symbols: C channels (1 or 3), H and W height and width in pixels.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray


def png_of(image: NDArray[np.floating[Any]]) -> bytes:
    """The PNG of an image (C, H, W) in [0, 1], pixel by pixel, rounded to 256 levels."""
    from PIL import Image

    levels = np.clip(np.rint(np.moveaxis(image, 0, -1) * 255), 0, 255).astype(np.uint8)
    content = BytesIO()
    Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels).save(content, format="png")
    return content.getvalue()
