"""Photos in files, in their own size: those of scikit-learn, or the user's.

Symbols: H and W height and width in pixels.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.artifacts.files.reading import read_bytes
from dlexp.data.images.decoding import decoded, reason
from dlexp.data.images.listing import IMAGES
from dlexp.data.images.normalization import WHITE
from dlexp.data.paths import check_file, did_you_mean
from dlexp.errors import DataError
from dlexp.text.quoting import setting

INCLUDED = ("china.jpg", "flower.jpg")


def included(name: str) -> Path:
    """The file of a photo of scikit-learn. Raises DataError where this version has none."""
    package = find_spec("sklearn")
    places = package.submodule_search_locations if package and package.submodule_search_locations else []
    for path in (Path(place, "datasets", "images", name) for place in places):
        if path.is_file():
            return path
    remedy = "Use data=super_resolution data.path=FOLDER with photos of your own"
    raise DataError(f"scikit-learn has no photo {name} here", remedy=remedy, code="not-found")


def read_photo(path: Path, channels: int = 3) -> Tensor:
    """(channels, H, W) uint8. Raises DataError for a file that is missing or no image."""
    check_file(path)
    try:
        return decoded(bytearray(read_bytes(path)), channels).permute(2, 0, 1).contiguous()
    except Exception as error:  # decoders raise many types for damaged files
        remedy = "Replace or delete it."
        raise DataError(f"cannot be read as an image: {reason(error)}", file=path, remedy=remedy) from error


def photos_below(folder: Path) -> list[Path]:
    """The image files in a folder and in those below it, sorted. Raises DataError for none, and for no folder."""
    if not folder.is_dir():
        if folder.exists():
            remedy = f"Set {setting('data.path', str(folder.parent))}"
            raise DataError("is a file, not a folder", file=folder, remedy=remedy, code="invalid-type")
        raise DataError("folder not found", file=folder, remedy=did_you_mean(folder), code="not-found")
    found = [
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(IMAGES.suffixes) and not name.startswith(".")
    ]
    if not found:
        remedy = f"Copy files there with a suffix such as {', '.join(IMAGES.suffixes[:3])}"
        raise DataError("no file with an image suffix found", file=folder, remedy=remedy, code="not-found")
    return sorted(found)


def middle_of_size(photo: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8 -> (3, *size) uint8: the middle of the photo, as large as its shape allows, with antialiasing."""
    height, width = photo.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    high, wide = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
    top, left = (height - high) // 2, (width - wide) // 2
    part = photo[None, :, top : top + high, left : left + wide].float()
    found = F.interpolate(part, size, mode="bicubic", align_corners=False, antialias=True)
    return found[0].round().clamp(0, WHITE).to(torch.uint8)
