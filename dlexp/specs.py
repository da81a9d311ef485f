"""Descriptions of data: what a model and a task must know of inputs and targets, as plain values that a run keeps.

Symbols: B samples in a batch, T positions of the longest sequence of a batch, C classes, F features, O outputs, H and W
image height and width in pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dlexp.kinds import NO_TARGETS
from dlexp.plain_values import from_plain, to_plain
from dlexp.types import Field, Sequences, as_tensor


class Spec(ABC):
    """A description of one side of a data set, inputs or targets, in plain values that are saved with a run.

    A subclass is a frozen dataclass of numbers, texts and tuples of them, with its own `kind`. Its class is found
    again by that name when a run is read, so that each name belongs to one class.
    """

    kind: ClassVar[str]
    _known: ClassVar[dict[str, type[Spec]]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Make the class known by its kind. Raises TypeError for a kind that another class has."""
        super().__init_subclass__(**options)
        if "kind" not in vars(cls):
            return
        for family in (InputSpec, TargetSpec):
            if issubclass(cls, family):
                other = family._known.setdefault(cls.kind, cls)
                if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise TypeError(f"the kind {cls.kind!r} belongs to {other.__name__}. Use another name.")
                family._known[cls.kind] = cls

    @abstractmethod
    def blank(self) -> Field:
        """One sample of zeros, as a batch of B = 1."""

    def model_arguments(self) -> dict[str, Any]:
        """Arguments that a model can name in its signature."""
        return {}

    def to_plain(self) -> dict[str, Any]:
        """Plain values that `from_plain` makes an equal spec of."""
        return {"kind": self.kind, **to_plain(self)}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """The spec that `to_plain` described. Raises ValueError for an unknown kind or other values."""
        found = cls._known.get(values["kind"])
        if found is None:
            known = ", ".join(cls._known)
            raise ValueError(f"unknown kind {values['kind']!r}; known: {known}. Import the module that defines it.")
        made: Any = from_plain(found, {name: value for name, value in values.items() if name != "kind"})
        assert isinstance(made, cls)
        return made


class InputSpec(Spec):
    """A description of what a network reads. Derive from it to bring a kind of input that dlexp does not have."""

    _known: ClassVar[dict[str, type[Spec]]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample; () where samples have no common one."""
        return ()


class TargetSpec(Spec):
    """A description of what is learned.

    geometry  how targets move when an image moves: "mask" (..., H, W), "boxes", or "" for not at all
    """

    _known: ClassVar[dict[str, type[Spec]]] = {}
    geometry: ClassVar[str] = ""

    @property
    def fill(self) -> int:
        """Number of the pixels of a moved mask that come from outside of its image."""
        return 0

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes or values; () where they have none."""
        names: tuple[str, ...] = getattr(self, "names", ())
        return names

    @property
    def num_outputs(self) -> int:
        """Numbers that a network puts out for one sample, pixel or position, unless the task asks for others."""
        return len(self.output_names)

    def model_arguments(self) -> dict[str, Any]:
        """The number of outputs, by two names."""
        return {"num_outputs": self.num_outputs, "num_classes": self.num_outputs} if self.num_outputs else {}

    def loss_arguments(self) -> dict[str, Any]:
        """Arguments that a loss can name in its signature."""
        return {}

    def measured(self, targets: Iterable[Field]) -> Self:
        """The same spec with what losses need to know of the training targets, which come in pieces."""
        return self


@dataclass(frozen=True)
class ImageSpec(InputSpec):
    """Images: a batch is (B, channels, height, width)."""

    channels: int
    height: int
    width: int

    kind: ClassVar[str] = "image"

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    def blank(self) -> Tensor:
        """(1, channels, height, width)."""
        return torch.zeros(1, *self.shape)

    def model_arguments(self) -> dict[str, Any]:
        """Shape and sizes."""
        return {"input_shape": self.shape, "in_channels": self.channels, "in_features": prod(self.shape)}


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
class SeriesSpec(InputSpec):
    """Time series: a batch is `Sequences` of (B, T, num_channels) float32, of at most `max_length` steps."""

    num_channels: int
    max_length: int

    kind: ClassVar[str] = "series"

    def blank(self) -> Sequences:
        """One series of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, self.num_channels), torch.tensor([self.max_length]))

    def model_arguments(self) -> dict[str, Any]:
        """Channels and greatest length."""
        return {"in_channels": self.num_channels, "max_length": self.max_length}


@dataclass(frozen=True)
class TokenSpec(InputSpec):
    """Token ids: a batch is `Sequences` of (B, T) int64 in [0, vocabulary_size), of at most `max_length` tokens."""

    vocabulary_size: int
    max_length: int

    kind: ClassVar[str] = "tokens"

    def blank(self) -> Sequences:
        """One sequence of zeros of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, dtype=torch.int64), torch.tensor([self.max_length]))

    def model_arguments(self) -> dict[str, Any]:
        """Size of the vocabulary and greatest length."""
        return {"vocabulary_size": self.vocabulary_size, "max_length": self.max_length}


@dataclass(frozen=True)
class TokenTargetSpec(TargetSpec):
    """Token ids to learn: as in `TokenSpec`, of a vocabulary that may be another than that of the inputs."""

    vocabulary_size: int
    max_length: int

    kind: ClassVar[str] = "tokens"

    @property
    def num_outputs(self) -> int:
        """A score for each token of the vocabulary."""
        return self.vocabulary_size

    def blank(self) -> Sequences:
        """One sequence of zeros of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, dtype=torch.int64), torch.tensor([self.max_length]))


@dataclass(frozen=True)
class ClassSpec(TargetSpec):
    """One class for each sample: a batch is (B,) int64 class numbers.

    names   of the C classes, in the order of their numbers
    counts  training samples of each class, C numbers; () where they are not measured yet
    """

    names: tuple[str, ...]
    counts: tuple[int, ...] = ()

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
