"""Descriptions of data: what a model and a task must know of inputs and targets, as plain values that a run keeps.

Symbols: B samples in a batch, T positions of the longest sequence of a batch, C classes, F features, O outputs, H and W
image height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

import dlexp.sequence_specs  # noqa: F401  so that a run of sequences finds its kinds
from dlexp.kinds import NO_TARGETS
from dlexp.spec_base import InputSpec, TargetSpec
from dlexp.types import Field, Sequences, as_tensor


@dataclass(frozen=True)
class ImageSpec(InputSpec):
    """Images: a batch is (B, channels, height, width).

    value_range  lowest and highest number of a network's input where a task asks for a range; None for mean 0 and
                 deviation 1 over the training images
    levels       how many values a pixel can have, evenly spaced over the range; None where there is no range, or any
    """

    channels: int
    height: int
    width: int
    value_range: tuple[float, float] | None = None
    levels: int | None = None

    kind: ClassVar[str] = "image"

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    def blank(self) -> Tensor:
        """(1, channels, height, width)."""
        return torch.zeros(1, *self.shape)

    def model_arguments(self) -> dict[str, Any]:
        """Shape and sizes, and the levels of pixels in a range."""
        sizes = {"input_shape": self.shape, "in_channels": self.channels, "in_features": prod(self.shape)}
        return sizes if self.value_range is None else {**sizes, "levels": self.levels}


@dataclass(frozen=True)
class TableSpec(InputSpec):
    """Rows of numbers: a batch is (B, num_features).

    categorical  (first feature, number of categories) of each categorical column, whose features are 1 for the category
                 of the row and 0 for the others; all other features are numbers
    """

    num_features: int
    categorical: tuple[tuple[int, int], ...] = ()

    kind: ClassVar[str] = "tabular"

    @property
    def shape(self) -> tuple[int, ...]:
        """(num_features,)."""
        return (self.num_features,)

    def blank(self) -> Tensor:
        """(1, num_features)."""
        return torch.zeros(1, self.num_features)

    def model_arguments(self) -> dict[str, Any]:
        """Shape, sizes and the categorical columns."""
        sizes = dict.fromkeys(("in_channels", "in_features"), self.num_features)
        return {"input_shape": self.shape, **sizes, "categorical": self.categorical}


@dataclass(frozen=True)
class ClassSpec(TargetSpec):
    """One class for each sample: a batch is (B,) int64 class numbers.

    names      of the C classes, in the order of their numbers
    counts     training samples of each class, C numbers; () where they are not measured yet
    anomalies  numbers of the classes that count as anomalies, which no training or validation sample has
    """

    names: tuple[str, ...]
    counts: tuple[int, ...] = ()
    anomalies: tuple[int, ...] = ()

    kind: ClassVar[str] = "class"

    @classmethod
    def numbered(cls, count: int) -> Self:
        """`count` classes that are called by their numbers."""
        return cls(tuple(map(str, range(count))))

    def blank(self) -> Tensor:
        """(1,) int64."""
        return torch.zeros(1, dtype=torch.int64)

    def loss_arguments(self) -> dict[str, Any]:
        """Samples of each class."""
        return {"class_counts": self.counts}

    def measured(self, targets: Iterable[Field]) -> Self:
        """With the samples of each class, where they are not counted yet."""
        if self.counts:
            return self
        counts = sum(torch.bincount(as_tensor(piece), minlength=len(self.names)) for piece in targets)
        return replace(self, counts=tuple(torch.as_tensor(counts).tolist()))


@dataclass(frozen=True)
class ValueSpec(TargetSpec):
    """Numbers for each sample: a batch is (B, O) float64 in their own units.

    names  of the O values
    mean   of each value over the training split
    std    its standard deviation, above 0
    min    its smallest training value; () where it is not measured yet
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min: tuple[float, ...] = ()

    kind: ClassVar[str] = "value"

    def blank(self) -> Tensor:
        """(1, O) float64."""
        return torch.zeros(1, len(self.names), dtype=torch.float64)

    def loss_arguments(self) -> dict[str, Any]:
        """The smallest value of each target."""
        return {"target_min": self.min}

    def measured(self, targets: Iterable[Field]) -> Self:
        """With the smallest value of each target, where it is not measured yet."""
        if self.min:
            return self
        least = torch.stack([as_tensor(piece).amin(dim=0) for piece in targets]).amin(dim=0)
        return replace(self, min=tuple(least.tolist()))


@dataclass(frozen=True)
class LabelSpec(TargetSpec):
    """Any number of labels for each sample: a batch is (B, C) float32, 1 for each label that it has.

    names   of the C labels
    counts  training samples that have each label; () where they are not measured yet
    """

    names: tuple[str, ...]
    counts: tuple[int, ...] = ()

    kind: ClassVar[str] = "labels"

    def blank(self) -> Tensor:
        """(1, C) float32."""
        return torch.zeros(1, len(self.names))

    def loss_arguments(self) -> dict[str, Any]:
        """Samples of each label."""
        return {"class_counts": self.counts}

    def measured(self, targets: Iterable[Field]) -> Self:
        """With the samples of each label, where they are not counted yet."""
        if self.counts:
            return self
        counts = sum((as_tensor(piece) > 0).sum(dim=0) for piece in targets)
        return replace(self, counts=tuple(torch.as_tensor(counts).tolist()))


@dataclass(frozen=True)
class MaskSpec(TargetSpec):
    """A class for each pixel: a batch is (B, height, width) int64 or uint8 class numbers.

    names    of the C classes
    ignored  a number that stands for pixels without a class, None for none; augmentation fills in it, or class 0
    """

    names: tuple[str, ...]
    height: int
    width: int
    ignored: int | None = None

    kind: ClassVar[str] = "mask"
    geometry: ClassVar[str] = "mask"

    @property
    def fill(self) -> int:
        """The number that stands for no class, or class 0."""
        return self.ignored or 0

    def blank(self) -> Tensor:
        """(1, height, width) int64."""
        return torch.zeros(1, self.height, self.width, dtype=torch.int64)


@dataclass(frozen=True)
class BoxSpec(TargetSpec):
    """Boxes with classes: a batch is `Sequences` of (B, T, 5) float32: left, top, right, bottom in pixels, and class.

    names  of the C classes
    An image without boxes has length 0. Edges are counted from the image's upper left corner: the first pixel lies
    between 0 and 1.
    """

    names: tuple[str, ...]

    kind: ClassVar[str] = "boxes"
    geometry: ClassVar[str] = "boxes"

    def blank(self) -> Sequences:
        """One box of no size."""
        return Sequences(torch.zeros(1, 1, 5), torch.tensor([1]))


@dataclass(frozen=True)
class ImageTargetSpec(TargetSpec):
    """An image for each sample: a batch is (B, channels, height, width) uint8 or float32, in [0, white].

    white   the number of a white pixel
    factor  how many times larger it is than its input
    """

    channels: int
    height: int
    width: int
    white: float = 255
    factor: int = 1

    kind: ClassVar[str] = "image"
    geometry: ClassVar[str] = "image"

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    def blank(self) -> Tensor:
        """(1, channels, height, width) uint8."""
        return torch.zeros(1, *self.shape, dtype=torch.uint8)

    def aligned(self, inputs: Field) -> Tensor:
        """Zeros, for inputs of any height and width (B, channels, height, width)."""
        images = as_tensor(inputs)
        height, width = (self.factor * side for side in images.shape[2:])
        return torch.zeros(len(images), self.channels, height, width, dtype=torch.uint8, device=images.device)

    def model_arguments(self) -> dict[str, Any]:
        """The shape."""
        return {"target_shape": self.shape}


@dataclass(frozen=True)
class DataSpec:
    """A description of a data set's inputs and of its targets, None for data without any."""

    inputs: InputSpec
    targets: TargetSpec | None

    @property
    def target_kind(self) -> str:
        """Kind of the targets, "none" without any."""
        return NO_TARGETS if self.targets is None else self.targets.kind

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes or values; () where they have none."""
        return () if self.targets is None else self.targets.output_names

    @property
    def num_outputs(self) -> int:
        """Numbers that a network puts out for one sample, pixel or position; 0 without targets."""
        return 0 if self.targets is None else self.targets.num_outputs

    def model_arguments(self) -> dict[str, Any]:
        """Arguments that a model can name in its signature."""
        return {**self.inputs.model_arguments(), **({} if self.targets is None else self.targets.model_arguments())}

    def to_plain(self) -> dict[str, Any]:
        """Plain values that `from_plain` makes an equal spec of."""
        return {"inputs": self.inputs.to_plain(), "targets": None if self.targets is None else self.targets.to_plain()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """The spec that `to_plain` described. Raises ValueError for an unknown kind or other values."""
        targets = values["targets"]
        return cls(InputSpec.from_plain(values["inputs"]), None if targets is None else TargetSpec.from_plain(targets))
