"""Decoding of image files to uint8 pixels of one size.

Symbols: B images, C channels (1 or 3), S height and width after resizing, H and W height and width of a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlexp.artifacts.files.reading import open_regular
from dlexp.data.images.bit_depth import in_eight_bits, white_of, with_transparency
from dlexp.errors import DataError

Failure = tuple[str, str]  # name of a file, and the reason why it cannot be read

_JPEG = b"\xff\xd8\xff"
_NAMED = 50  # files listed in a message; the others are counted
_GRAY, _COLOR = 1, 3  # modes of torchvision's decoder


class AllOrNone(ABC):
    """A reader of images that returns all requested images, or an error that names the unreadable ones."""

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """(B,) numbers -> (B, C, H, W), channels last in memory. Raises DataError that names the unreadable ones."""
        images, failures = self.attempt(rows)
        if failures:
            raise self.refusal(failures)
        return images

    @abstractmethod
    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The readable images of `rows`, (at most B, C, H, W), and the failures of the others."""

    @abstractmethod
    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for unreadable images."""


@dataclass(frozen=True)
class ImageFiles(AllOrNone):
    """The image files of a folder, addressed by number.

    names   (N,) paths relative to `root`, as bytes: forked workers share the array without copying it
    resize  crop: the center square, scaled; stretch: the whole image, scaled in both directions
    """

    root: Path
    names: NDArray[np.bytes_]
    channels: int
    size: int
    resize: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, S, S)."""
        return self.channels, self.size, self.size

    @property
    def dtype(self) -> torch.dtype:
        """The type of the images that are read."""
        return torch.uint8

    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for unreadable files."""
        return unreadable(self.root, failures)

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The readable images of `rows`, (at most B, C, S, S), and the failures of the others."""
        images, failures = [], []
        for row in rows:
            name = self.names[row].decode("utf-8", "surrogateescape")
            try:
                images.append(read_image(f"{self.root}/{name}", self.channels, self.size, self.resize))
            except Exception as error:  # decoders raise many types for damaged files
                failures.append((name, reason(error)))
        if not images:
            return torch.empty((0, *self.shape), dtype=torch.uint8), failures
        return torch.stack(images).permute(0, 3, 1, 2), failures


def read_image(path: str, channels: int, size: int, resize: str) -> Tensor:
    """The image in a file, (S, S, C) uint8. Raises OSError, or the error of the decoder for a damaged file."""
    return fitted(decoded(_content(path), channels), size, resize)


def unreadable(root: Path, failures: Sequence[Failure]) -> DataError:
    """The error for unreadable files."""
    remedy = "Delete or replace them, or set data.on_bad=skip"
    if len(failures) == 1:
        name, why = failures[0]
        return DataError(f"cannot be read as an image: {why}", file=root / printable_name(name), remedy=remedy)
    named = list_lines([f"{printable_name(name)}: {why}" for name, why in failures])
    return DataError(f"{len(failures)} files cannot be read as images{named}\n", file=root, remedy=remedy)


def list_lines(lines: Sequence[str]) -> str:
    """The first fifty lines, each indented on a separate line."""
    named = "".join(f"\n  {line}" for line in lines[:_NAMED])
    return named + (f"\n  and {len(lines) - _NAMED} more" if len(lines) > _NAMED else "")


def printable_name(name: str) -> str:
    """The name of a file with bytes that are not UTF-8 and unprintable characters escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def reason(error: BaseException) -> str:
    """The reason why a decoder failed, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "unknown image format" if text.startswith("cannot identify image file") else text


def decoded(content: bytearray, channels: int) -> Tensor:
    """Decode the bytes of a file to (H, W, C) uint8, rotated by its EXIF orientation.

    JPEG is decoded by torchvision, in half of the time of Pillow. Pillow decodes other formats, and JPEG files that
    torchvision rejects: palettes are applied, 16 bits reduced to 8, transparent pixels blended with white.
    Raises the error of the decoder for a damaged file, ValueError for pixels without a white value (`white_of`).
    """
    if content[:3] == _JPEG:
        try:
            pixels = _jpeg_decoder()(torch.frombuffer(content, dtype=torch.uint8), _GRAY if channels == 1 else _COLOR)
            return pixels.permute(1, 2, 0)
        except RuntimeError:
            pass  # Pillow may support it, and has better messages
    return _by_pillow(content, channels)


def fitted(image: Tensor, size: int, resize: str) -> Tensor:
    """(H, W, C) -> (S, S, C); bilinear, with antialiasing."""
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    if resize == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
        if side == size:
            return image
    planes = image.permute(2, 0, 1)[None]
    return F.interpolate(planes, (size, size), mode="bilinear", antialias=True)[0].permute(1, 2, 0)


def is_gray(mode: str) -> bool:
    """Return whether `mode` of Pillow has no colors."""
    return mode in ("1", "L", "LA", "La", "F") or mode.startswith("I")


def _content(path: str) -> bytearray:
    with open_regular(path) as file:
        content = bytearray(file.seek(0, 2))
        file.seek(0)
        taken = file.readinto(content)
        while taken is not None and 0 < taken < len(content):
            more = file.readinto(memoryview(content)[taken:])
            if not more:
                break
            taken += more
    return content


def _by_pillow(content: bytearray, channels: int) -> Tensor:
    from PIL import Image, ImageOps

    with Image.open(BytesIO(content)) as file:
        largest = white_of(file)
        image = ImageOps.exif_transpose(with_transparency(file, content))
        if image.mode.startswith("I"):
            image = in_eight_bits(image, largest, file)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels if pixels.ndim == 3 else pixels[:, :, None])


@cache
def _jpeg_decoder() -> Callable[[Tensor, int], Tensor]:
    """(bytes, mode) -> (C, H, W) uint8, upright.

    Uses torchvision's library directly if it is found: importing the package takes as long as importing torch.
    """
    package = find_spec("torchvision")
    places = package.submodule_search_locations if package and package.submodule_search_locations else []
    for path in (path for place in places for path in sorted(Path(place).glob("image*.so"))):
        try:
            torch.ops.load_library(str(path))
            by_library = torch.ops.image.decode_jpeg.default
        except (OSError, AttributeError, RuntimeError):
            continue
        return lambda data, mode: by_library(data, mode, True)
    from torchvision.io import ImageReadMode, decode_jpeg

    modes: dict[int, Any] = {_GRAY: ImageReadMode.GRAY, _COLOR: ImageReadMode.RGB}

    def by_package(data: Tensor, mode: int) -> Tensor:
        found: Tensor = decode_jpeg(data, modes[mode], apply_exif_orientation=True)
        return found

    return by_package
