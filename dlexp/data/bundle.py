"""The result of every data source: three disjoint splits, what they hold, and how a batch is made ready.

Symbols: N samples of a split, B samples of a batch, H and W height and width in pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.augment.recipe import AugmentContext, Recipe, recipe, recipe_without_images
from dlexp.data.columns import Column, Constant, Piece, Transform, column_of, transforms_of
from dlexp.data.preprocess import Identity, Preprocess
from dlexp.data.splits.divided_groups import DividedGroups
from dlexp.data.streaming import Streamed
from dlexp.specs import DataSpec, ImageSpec
from dlexp.types import Field, TimesOf

SPLITS = ("train", "val", "test")
_COUNTED = 1 << 16  # targets that are counted at a time
_HASHED = 1 << 14  # samples that are hashed at a time


@dataclass(frozen=True)
class Modes:
    """The modes of data that were drawn: normal distributions of one deviation, as many samples of each.

    centers  (K, F) in the units of the data, its features in their order
    std      standard deviation in each direction
    """

    centers: NDArray[np.float64]
    std: float


@dataclass(frozen=True)
class Split:
    """Samples that are used for one purpose.

    inputs   N values
    targets  N values, None for data without targets
    indices  (N,) int64: the sample's number in the source
    """

    inputs: Column
    targets: Column | None
    indices: Tensor

    @classmethod
    def in_memory(cls, inputs: Field, targets: Field | None, indices: Tensor) -> Split:
        """N samples whose values are a batch of B = N."""
        return cls(column_of(inputs), None if targets is None else column_of(targets), indices)

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> Split:
        """The same split, whose samples come on `device`."""
        targets = None if self.targets is None else self.targets.to(device)
        return Split(self.inputs.to(device), targets, self.indices.to(device))

    def read(
        self, pieces: Iterable[Piece], transform: Transform | Sequence[Transform] | None = None
    ) -> Iterator[tuple[Field, Field | None]]:
        """Inputs and targets of each piece in turn, on the split's device, after `transform`: one, or one per piece."""
        pieces = list(pieces)
        transforms = transforms_of(transform, len(pieces))
        if isinstance(self.inputs, Streamed) and isinstance(self.targets, Streamed):
            yield from self.inputs.read_with(self.targets, pieces, transforms)
            return
        targets = repeat(None, len(pieces)) if self.targets is None else self.targets.read(pieces)
        is_apart = all(one is not None and not one.moves_targets for one in transforms)
        if isinstance(self.inputs, Streamed) and is_apart:
            # Inputs alone are changed by the processes that read them; targets in memory that move are not sent there.
            yield from zip(self.inputs.read(pieces, transforms), targets, strict=True)
            return
        for piece, given, learned, one in zip(pieces, self.inputs.read(pieces), targets, transforms, strict=True):
            yield (given, learned) if one is None else one(given, learned, self.indices[piece])

    def select(self, positions: Tensor) -> Split:
        """The samples at `positions` (B,) int64, as a split in memory."""
        ((inputs, targets),) = self.read([positions])
        return Split.in_memory(inputs, targets, self.indices[positions])


@dataclass(frozen=True)
class DataBundle:
    """A data set, split and described.

    splits         images may be stored larger than `spec` says: training then sees parts of them, evaluation the middle
    preprocess     the last step before the network, in training and after
    augment        the random changes to training images, in the words of `data.augment`
    pad            largest shift in pixels of its `crop`
    references     name of a split -> forecasts of its samples that need no network, by name, (N, ...) float64 in the
                   units of the targets; None where there are none. They are made when they are asked for
    times          sample numbers (N,) -> the time of each step of their targets, (N, H) datetime64[us] or float64; None
                   where a sample has no steps, or nobody knows when they were
    mirrors        whether a mirrored image is still one of its class; where not, no preset mirrors by itself
    fingerprint    SHA-256 of the samples as read, so that a later run can tell whether the data changed
    preprocessing  how raw input became `inputs`, as plain values, stored with the run
    notes          what the source changed or left out and a person should know
    left_out       each file that was left out, with the reason where there is one: all of those that a note counts
    damaged        those of them that could not be read
    target         name of the column or array that is learned, "" where it has none
    omitted        columns of a table, or arrays of a file, that are not read: name -> why, a phrase that follows it
    divided        name of a column of a table -> what it divides, for columns that look like groups
    missing        name of a column with missing cells -> (how many, the first ten rows)
    named          sample numbers (B,) -> what the source calls them: a file, or a line; None where a number is all
    baselines      name of a split -> model -> metric -> value: what simple models reach there, to be read beside a
                   network's figures; None where there are none. They are computed when they are asked for
    masks          sample numbers (B,) int64 -> (B, H, W) bool, true where the object is; None where nobody knows. They
                   are made when they are asked for
    texts          sample numbers (B,) -> the text of each, for data that are texts; None for others
    modes          the modes of drawn data; None where they are unknown
    groups         group of each sample of the source by its number (data.group); None where samples are independent
    bucket         whether a training batch has sequences of similar lengths, so that little of it is padding
    """

    spec: DataSpec
    splits: Mapping[str, Split]
    preprocess: Preprocess
    fingerprint: str
    preprocessing: Mapping[str, Any]
    augment: str | Sequence[Any] = "none"
    pad: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)
    left_out: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    target: str = ""
    omitted: Mapping[str, str] = field(default_factory=dict)
    divided: Mapping[str, DividedGroups] = field(default_factory=dict)
    missing: Mapping[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    named: Callable[[NDArray[np.int64]], list[str]] | None = None
    masks: Callable[[Tensor], Tensor] | None = None
    baselines: Callable[[str], Mapping[str, Mapping[str, float]]] | None = None
    references: Callable[[str], Mapping[str, NDArray[np.float64]]] | None = None
    times: TimesOf | None = None
    mirrors: bool = True
    texts: Callable[[NDArray[np.int64]], list[str]] | None = None
    modes: Modes | None = None
    groups: NDArray[np.int64] | None = None
    bucket: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError for changes that these samples cannot have."""
        _ = self.recipe

    @cached_property
    def recipe(self) -> Recipe:
        """The random changes to training images, made to fit them."""
        seen, targets = self.spec.inputs, self.spec.targets
        if not isinstance(seen, ImageSpec):
            return recipe_without_images(self.augment, seen.kind)
        context = AugmentContext(
            channels=seen.channels,
            pad=self.pad,
            mirrors=self.mirrors,
            white=self.preprocessing.get("white"),
            mean=tuple(self.preprocessing.get("mean", ())),
            size=seen.width if self.splits["train"].inputs.shape not in (None, seen.shape) else 0,
            geometry="" if targets is None else targets.geometry,
            fill=0 if targets is None else targets.fill,
        )
        return recipe(self.augment, context)

    @property
    def is_streamed(self) -> bool:
        """Whether samples are read while they are used."""
        return isinstance(self.splits["train"].inputs, Streamed)

    @property
    def split_hash(self) -> str:
        """SHA-256 over the sample numbers of the three splits: equal splits have equal hashes."""
        return fingerprint_of(*(self.splits[name].indices.numpy() for name in SPLITS))

    def with_split_subset(self, split: str, positions: Tensor) -> DataBundle:
        """The same data with no more of `split` than `positions` (B,) int64, in memory."""
        return replace(self, splits={**self.splits, split: self.splits[split].select(positions)})

    def sizes(self) -> dict[str, int]:
        """Samples in each split."""
        return {name: len(self.splits[name]) for name in SPLITS}


def blank_bundle(spec: DataSpec, sizes: Mapping[str, int]) -> DataBundle:
    """Data as `spec` describes and of these sizes, all zero: for commands that need no samples of a run."""
    inputs, targets = spec.inputs.blank(), None if spec.targets is None else spec.targets.blank()
    splits = {
        name: Split(Constant(inputs, count), None if targets is None else Constant(targets, count), torch.arange(count))
        for name, count in sizes.items()
        if name in SPLITS
    }
    return DataBundle(spec, splits, Identity(), "", {})


def with_counts(bundle: DataBundle) -> DataBundle:
    """`bundle` with the counts that losses need, measured on the training split alone; as it is where it has them.

    They are part of the spec, because a replay has the spec of a run and not its data.
    """
    spec, column = bundle.spec, bundle.splits["train"].targets
    if spec.targets is None or column is None:
        return bundle
    pieces = torch.arange(len(column)).split(_COUNTED)
    measured = spec.targets.measured(column.read(pieces if len(pieces) > 1 else [slice(0, len(column))]))
    return bundle if measured is spec.targets else replace(bundle, spec=replace(spec, targets=measured))


def fingerprint_of(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 over the shapes, types and bytes of some arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        for first in range(0, len(array), _HASHED):  # no second copy of a large array
            digest.update(np.ascontiguousarray(array[first : first + _HASHED]).tobytes())
    return digest.hexdigest()
