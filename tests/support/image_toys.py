"""Small folders of image files, and pictures whose every pixel is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("cat", "dog", "owl")


def picture(number: int, height: int = 12, width: int = 12) -> NDArray[np.uint8]:
    """(H, W, 3): smooth, and another one for each number."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(number * 37 + (9 + 5 * channel) * x + (4 + 7 * channel) * y) % 256 for channel in range(3)]
    return np.stack(planes, axis=2).astype(np.uint8)


def write(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """Save pixels as the suffix says; a folder that is not there is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_folder(root: Path, per_class: int = 8, size: int = 12, suffix: str = ".jpg", first: int = 0) -> Path:
    """root/CLASS/NUMBER.jpg, three classes; the pictures are those from number `first` on."""
    for number, name in enumerate(CLASSES):
        for index in range(per_class):
            write(root / name / f"{index:03}{suffix}", picture(first + number * per_class + index, size, size))
    return root
