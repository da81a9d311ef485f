"""Image files -> uint8 pixels of one size.

Symbols: B images, C channels (1 or 3), S the height and width that images are brought to, H and W those of a file.
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

Failure = tuple[str, str]  # the name of a file, and why it cannot be read

_JPEG = b"\xff\xd8\xff"
_NAMED = 50  # files that an error or a note names; the others are counted
_GREY, _COLOUR = 1, 3  # the modes of torchvision's decoder


class AllOrNone(ABC):
    """A reader of images that says which it cannot read, and so can refuse to give a part of them."""

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """(B,) numbers -> (B, C, H, W), the channels last in memory. Raises DataError naming what cannot be read."""
        images, failures = self.attempt(rows)
        if failures:
            raise self.refusal(failures)
        return images

    @abstractmethod
    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The images of `rows` that can be read, (at most B, C, H, W), and those that cannot."""

    @abstractmethod
    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for images that cannot be read."""


@dataclass(frozen=True)
class ImageFiles(AllOrNone):
    """The images of a folder, by number.

    names   (N,) names relative to `root`, as bytes: an array of them costs a forked worker no copies
    resize  crop: the middle square, scaled; stretch: all of the image, scaled in both directions
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
        """Of the images."""
        return torch.uint8

    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for files that cannot be read."""
        return unreadable(self.root, failures)

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The images of `rows` that can be read, (at most B, C, S, S), and those that cannot."""
        images, failures = [], []
        for row in rows:
            name = self.names[row].decode("utf-8", "surrogateescape")
            try:
                images.append(read_image(f"{self.root}/{name}", self.channels, self.size, self.resize))
            except Exception as error:  # decoders raise all kinds for damaged files
                failures.append((name, reason(error)))
        if not images:
            return torch.empty((0, *self.shape), dtype=torch.uint8), failures
        return torch.stack(images).permute(0, 3, 1, 2), failures


def read_image(path: str, channels: int, size: int, resize: str) -> Tensor:
    """The image in a file, (S, S, C) uint8. Raises OSError, or what the decoder raises for a damaged file."""
    return fitted(decoded(_content(path), channels), size, resize)


def unreadable(root: Path, failures: Sequence[Failure]) -> DataError:
    """The error for files that cannot be read."""
    remedy = "delete or replace them, or leave them out with data.on_bad=skip"
    if len(failures) == 1:
        name, why = failures[0]
        return DataError(f"cannot be read as an image: {why}", file=root / shown(name), remedy=remedy)
    named = listed([f"{shown(name)}: {why}" for name, why in failures])
    return DataError(f"{len(failures)} files cannot be read as images{named}\n", file=root, remedy=remedy)


def listed(lines: Sequence[str]) -> str:
    """Lines below a message, the first fifty of them."""
    named = "".join(f"\n  {line}" for line in lines[:_NAMED])
    return named + (f"\n  and {len(lines) - _NAMED} more" if len(lines) > _NAMED else "")


def shown(name: str) -> str:
    """A file's name as it can be printed: what is no UTF-8, or no character that prints, is escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def reason(error: BaseException) -> str:
    """Why a decoder failed, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "is in no known image format" if text.startswith("cannot identify image file") else text


def decoded(content: bytearray, channels: int) -> Tensor:
    """The bytes of a file -> (H, W, C) uint8, upright as its EXIF orientation says.

    JPEG goes through torchvision's decoder, which takes half of Pillow's time; all else, and what that decoder
    refuses, through Pillow: palettes are looked up, 16 bits cut to 8, transparent pixels laid over white.
    Raises what the decoder raises for a damaged file, ValueError for pixels without a defined white (`white_of`).
    """
    if content[:3] == _JPEG:
        try:
            pixels = _jpeg_decoder()(torch.frombuffer(content, dtype=torch.uint8), _GREY if channels == 1 else _COLOUR)
            return pixels.permute(1, 2, 0)
        except RuntimeError:
            pass  # Pillow may know it, and says better what is wrong
    return _by_pillow(content, channels)


def fitted(image: Tensor, size: int, resize: str) -> Tensor:
    """(H, W, C) -> (S, S, C); bilinear, averaging where it shrinks."""
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


def is_grey(mode: str) -> bool:
    """Whether Pillow's `mode` has no colours."""
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

    Straight from torchvision's library where it is found: importing the package takes as long as importing torch.
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

    modes: dict[int, Any] = {_GREY: ImageReadMode.GRAY, _COLOUR: ImageReadMode.RGB}

    def by_package(data: Tensor, mode: int) -> Tensor:
        found: Tensor = decode_jpeg(data, modes[mode], apply_exif_orientation=True)
        return found

    return by_package
