"""What every data source returns: three disjoint splits, what they hold, and how a batch is made ready.

Symbols: N samples of a split, B samples of a batch, F features, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.augment.operations import Change
from dlexp.data.augment.recipe import Facts, Recipe, recipe
from dlexp.runtime.tensors import moved
from dlexp.types import DataSpec

Piece = slice | Tensor  # some positions in a split: a range, or their numbers (B,) int64

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Samples that are used for one purpose.

    inputs   (N, *input_shape): uint8 pixels, or float32 features; in a split that is streamed they are on torch's
             meta device, which knows their shape and no values: use `read` or `chosen`
    targets  (N,) int64 class numbers, or (N, O) float64 values in their own units
    rows     (N,) int64: the sample's number in the source
    """

    inputs: Tensor
    targets: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> Split:
        """The same split on `device`."""
        return Split(self.inputs.to(device), moved(self.targets, device), self.rows.to(device))

    def read(self, pieces: Iterable[Piece], change: Change | None = None) -> Iterator[Tensor]:
        """The inputs of each piece in turn, (B, *input_shape) on the split's device, after `change`."""
        for piece in pieces:
            inputs = self.inputs[piece]
            yield inputs if change is None else change(inputs, self.rows[piece])

    def targets_at(self, piece: Piece) -> Tensor:
        """The targets of a piece, (B,) or (B, O), where the split keeps them."""
        return self.targets[piece if isinstance(piece, slice) else piece.to(self.targets.device)]

    def chosen(self, positions: Tensor) -> Split:
        """The samples at `positions` (B,) int64, as a split in memory."""
        (inputs,) = self.read([positions])
        return Split(inputs, self.targets[positions], self.rows[positions])


@dataclass(frozen=True)
class Affine:
    """`inputs * scale + shift`, element by element: pixels to numbers of mean 0 and deviation 1.

    scale, shift  shape that broadcasts against (B, *input_shape), float32
    """

    scale: Tensor
    shift: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """(B, *input_shape) of any type -> the same shape, float32."""
        if inputs.dtype == torch.float32:  # may be the samples themselves
            return torch.addcmul(self.shift, inputs, self.scale)
        numbers = inputs.float()
        return torch.addcmul(self.shift, numbers, self.scale, out=numbers)

    def to(self, device: torch.device) -> Affine:
        """The same map on `device`."""
        return Affine(self.scale.to(device), self.shift.to(device))

    def plain(self) -> dict[str, Any]:
        """Plain values that `of_plain` makes the same bits of; what is equal along an axis is kept once."""
        parts = {"scale": self.scale, "shift": self.shift}
        return {name: {"shape": list(part.shape), "values": _once(part).tolist()} for name, part in parts.items()}

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> Affine:
        """The map that `plain` described."""
        return cls(*(_in_full(values[name]["values"], values[name]["shape"]) for name in ("scale", "shift")))


@dataclass(frozen=True)
class DataBundle:
    """A data set, split and described.

    splits         images may be stored larger than `spec` says: training then sees parts of them, evaluation the middle
    normalize      what every batch goes through, in training and after
    augment        the random changes to training images, in the words of `data.augment`
    pad            largest shift in pixels of its `crop`
    mirrors        whether a mirrored image is still one of its class; where not, no preset mirrors by itself
    fingerprint    SHA-256 of the samples as read, so that a later run can tell whether the data changed
    preprocessing  how raw input became `inputs`, as plain values, stored with the run
    notes          what the source changed or left out and a person should know
    left_out       each file that was left out, with the reason where there is one: all of those that a note counts
    damaged        those of them that could not be read
    target         name of the column or array that is learnt, "" where it has none
    omitted        columns of a table, or arrays of a file, that are not read: name -> why, a phrase that follows it
    missing        name of a column with missing cells -> (how many, the first ten rows)
    named          sample numbers (B,) -> what the source calls them: a file, or a line; None where a number is all
    masks          sample numbers (B,) int64 -> (B, H, W) bool, true where the object is; None where nobody knows. They
                   are made when they are asked for
    """

    spec: DataSpec
    splits: Mapping[str, Split]
    normalize: Affine
    fingerprint: str
    preprocessing: Mapping[str, Any]
    augment: str | Sequence[Any] = "none"
    pad: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)
    left_out: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    target: str = ""
    omitted: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    named: Callable[[NDArray[np.int64]], list[str]] | None = None
    masks: Callable[[Tensor], Tensor] | None = None
    mirrors: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError for changes that these samples cannot have."""
        _ = self.recipe

    @cached_property
    def recipe(self) -> Recipe:
        """The random changes to training images, made to fit them."""
        stored, seen = self.splits["train"].inputs.shape[1:], self.spec.input_shape
        facts = Facts(
            channels=seen[0],
            pad=self.pad,
            mirrors=self.mirrors,
            white=self.preprocessing.get("white"),
            mean=tuple(self.preprocessing.get("mean", ())),
            size=seen[-1] if tuple(stored) != tuple(seen) else 0,
        )
        return recipe(self.augment, facts)

    @property
    def is_streamed(self) -> bool:
        """Whether samples are read while they are used."""
        return self.splits["train"].inputs.is_meta

    @property
    def split_hash(self) -> str:
        """SHA-256 over the row numbers of the three splits: equal splits have equal hashes."""
        return fingerprint(*(self.splits[name].rows.numpy() for name in SPLITS))

    def narrowed(self, split: str, positions: Tensor) -> DataBundle:
        """The same data with no more of `split` than `positions` (B,) int64, in memory."""
        return replace(self, splits={**self.splits, split: self.splits[split].chosen(positions)})

    def sizes(self) -> dict[str, int]:
        """Samples in each split."""
        return {name: len(self.splits[name]) for name in SPLITS}


def blank_bundle(spec: DataSpec, sizes: Mapping[str, int]) -> DataBundle:
    """Data as `spec` describes and of these sizes, all zero: for who needs what a run knew of them."""
    kind = torch.int64 if spec.targets == "class" else torch.float64
    shape = () if spec.targets == "class" else (spec.num_outputs,)
    splits = {
        name: Split(
            torch.zeros(1, *spec.input_shape).expand(count, *spec.input_shape),
            torch.zeros(1, *shape, dtype=kind).expand(count, *shape),
            torch.arange(count),
        )
        for name, count in sizes.items()
        if name in SPLITS
    }
    return DataBundle(spec, splits, Affine(torch.tensor(1.0), torch.tensor(0.0)), "", {})


def with_counts(bundle: DataBundle) -> DataBundle:
    """`bundle` with the counts that losses ask for, measured on the training split alone; as it is where it has them.

    They are part of the spec, for a replay has the spec of a run and not its data.
    """
    spec, targets = bundle.spec, bundle.splits["train"].targets
    if spec.targets == "class" and not spec.class_counts:
        counts = torch.bincount(targets, minlength=spec.num_outputs).tolist()
        return replace(bundle, spec=replace(spec, class_counts=tuple(counts)))
    if spec.targets == "value" and not spec.target_min:
        return replace(bundle, spec=replace(spec, target_min=tuple(targets.amin(dim=0).tolist())))
    return bundle


def _once(values: Tensor) -> Tensor:
    """`values` with length 1 along every axis along which they are all the same."""
    for axis in range(values.dim()):
        first = values.narrow(axis, 0, 1)
        values = first if torch.equal(values, first.expand_as(values)) else values
    return values


def _in_full(values: Any, shape: Sequence[int]) -> Tensor:
    """float32 of `shape`; of an image with the channels last in memory, as images are."""
    spread = torch.tensor(values, dtype=torch.float32).expand(tuple(shape))
    if len(shape) != 3:
        return spread.contiguous()
    return spread.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def fingerprint(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 over the shapes, types and bytes of some arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
