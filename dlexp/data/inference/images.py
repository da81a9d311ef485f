"""Prediction inputs from image files, converted as in training.

Symbols: G images, C channels, S height and width in pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.data.images.decoding import printable_name, read_image, reason
from dlexp.data.images.normalization import WHITE
from dlexp.data.images.placement import in_threads
from dlexp.data.inference.items import InputItems, missing_file
from dlexp.errors import DataError
from dlexp.specs import DataSpec, ImageSpec

_PIECE = 16  # files per task of a thread


@dataclass(frozen=True)
class ImageInput:
    """The conversion of image files to inputs of a network.

    white   the largest pixel value in training; that of files is 255
    resize  as in data.decode.ImageFiles
    stored  height and width after resizing, S or more; the network reads the center
    """

    channels: int
    size: int
    resize: str
    white: int
    stored: int

    @classmethod
    def of(cls, spec: DataSpec, preprocessing: Mapping[str, Any]) -> ImageInput:
        """The conversion that a run records. Raises DataError for a network without image file inputs."""
        shape, white = spec.inputs.shape, preprocessing.get("white")
        if not isinstance(spec.inputs, ImageSpec):
            rule = f"image files are not supported: this run reads {spec.inputs.kind} samples of shape {shape}"
            raise DataError(rule, code="incompatible-data")
        if shape[1] != shape[2] or shape[0] not in (1, 3) or white in (None, 1):
            rule = f"image files are not supported: this run was trained on arrays of shape {shape}"
            raise DataError(rule, remedy="Use a .npy or .npz file.", code="incompatible-data")
        stored = int(preprocessing.get("resize_to") or shape[1])
        return cls(shape[0], shape[1], str(preprocessing.get("resize", "crop")), int(white), stored)

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """The images, read ahead by threads; an unreadable file is an item with a problem."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about odd metadata and very large images, both readable
            yield from in_threads(self._some, _pieces(paths))

    def _some(self, paths: list[str]) -> InputItems:
        images, problems = [], []
        for path in paths:
            try:
                whole = read_image(path, self.channels, self.stored, self.resize)
                edge = (self.stored - self.size) // 2
                images.append(whole[edge : edge + self.size, edge : edge + self.size])
                problems.append("")
            except FileNotFoundError:
                problems.append(missing_file(Path(path)))
            except Exception as error:  # decoders raise many types for damaged files
                problems.append(reason(error))
        return InputItems({"input": [printable_name(path) for path in paths]}, problems, self._stacked(images))

    def _stacked(self, images: list[Tensor]) -> Tensor:
        """(G, C, S, S), the channels last in memory."""
        if not images:
            return torch.empty((0, self.channels, self.size, self.size), dtype=torch.uint8)
        found = torch.stack(images).permute(0, 3, 1, 2)
        return found if self.white == WHITE else found.float() * (self.white / WHITE)


def _pieces(paths: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(paths)
    while piece := list(islice(rest, _PIECE)):
        yield piece
