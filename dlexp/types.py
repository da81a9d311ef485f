"""The values that pass between data, tasks and engine.

Symbols: B samples in a batch, T positions of the longest sequence of a batch, C classes, F features, O outputs, H and W
image height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """Sequences of different lengths, padded with zeros to the longest of the batch.

    values   (B, T, ...)
    lengths  (B,) int64, in [0, T]: how many positions of each sequence are its own
    """

    values: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def mask(self) -> Tensor:
        """(B, T) bool: True where a position belongs to its sequence, False where it is padding."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def filled(self, padding: int) -> Tensor:
        """The values (B, T) with `padding` in place of the zeros behind each sequence."""
        return self.values.masked_fill(~self.mask, padding)


TimesOf = Callable[[NDArray[np.int64]], NDArray[Any]]  # sample numbers (B,) -> the times of their steps (B, H)
Field = Tensor | Sequences | Mapping[str, Tensor]  # (B, ...); Sequences; or several (B, ...) by name


def to_device(given: Field, device: torch.device) -> Field:
    """The same values on `device`; see `tensor_to_device`."""
    if isinstance(given, Tensor):
        return tensor_to_device(given, device)
    if isinstance(given, Sequences):
        return Sequences(tensor_to_device(given.values, device), given.lengths.to(device))
    return {name: tensor_to_device(value, device) for name, value in given.items()}


def tensor_to_device(given: Tensor, device: torch.device) -> Tensor:
    """`given` on `device`; float64 stays on the CPU for Apple's GPUs, which do not have it."""
    return given if device.type == "mps" and given.dtype == torch.float64 else given.to(device)


def select(given: Field, positions: Tensor) -> Field:
    """The samples at `positions` (K,) int64 of some values, in that order; sequences keep their padding."""
    if isinstance(given, Tensor):
        return given[positions]
    if isinstance(given, Sequences):
        return Sequences(given.values[positions], given.lengths[positions])
    return {name: value[positions] for name, value in given.items()}


def as_tensor(given: Field | None) -> Tensor:
    """`given` where it is one tensor. Raises TypeError for sequences, mappings and None."""
    if isinstance(given, Tensor):
        return given
    raise TypeError(f"must be a tensor, got {'nothing' if given is None else type(given).__name__}")


@dataclass(frozen=True)
class Mixed:
    """The second samples that the samples of a batch were mixed with.

    targets  as in Batch: those of the second sample of each
    share    of the first sample, in [0, 1]; the second has the rest
    """

    targets: Tensor
    share: float


@dataclass(frozen=True)
class Batch:
    """Some samples on one device.

    inputs   (B, *shape) float, `Sequences`, or several tensors by name
    targets  such as (B,) int64 class numbers, or (B, O) float64 values in their own units; None for data without any
    indices  (B,) int64: the number of each sample in its source, the same in every epoch and split
    mixed    what each sample was mixed with, None where it is as it came
    """

    inputs: Field
    targets: Field | None
    indices: Tensor
    mixed: Mixed | None = None

    def __len__(self) -> int:
        return int(self.indices.shape[0])  # a third of the time of `len`, which torch wraps

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        mixed = None if self.mixed is None else Mixed(tensor_to_device(self.mixed.targets, device), self.mixed.share)
        targets = None if self.targets is None else to_device(self.targets, device)
        return Batch(to_device(self.inputs, device), targets, self.indices.to(device), mixed)


class TrainingData(Protocol):
    """Batches of an epoch, from any batch on; the same ones each time, in another order at each attempt."""

    @property
    def num_samples(self) -> int: ...

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class LossOutput:
    """The loss of a batch in one phase.

    value  shape (), the mean over the terms that `Task.loss_weight` counts (samples, tokens, pixels); the gradient
           flows from here
    parts  name -> further values for the log, detached: a mean over the same terms, shape (); or one value for each
           element, of any other shape and bool or float, whose mean over the epoch is that of all its elements
    """

    value: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """The outputs of a network for a batch, in the units of the data.

    outputs  (B, C) class probabilities or scores, (B, O) values in the target's own units, (B, E) embeddings, or what
             the states of a task of another kind take, such as (B, H, W) masks
    targets  (B,) class numbers, (B, O) values as in Batch, or of any other shape; None where the data hold none
    loss     shape (), the mean loss, without penalties
    indices  (B,) sample numbers
    extra    more values of each sample for the report, by name, such as a quantile: (B, O)
    logits   (B, C) the numbers whose softmax the probabilities are, None where `outputs` are not made of any. They
             keep what probabilities round away: of two classes that float32 calls 1 and 0, how far apart they are
    weight   how many samples, tokens or pixels `loss` is the mean of; None for B
    """

    outputs: Tensor
    targets: Tensor | None
    loss: Tensor
    indices: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    weight: int | Tensor | None = None

    @property
    def loss_weight(self) -> float:
        """How many terms `loss` is a mean of."""
        return len(self.indices) if self.weight is None else float(self.weight)

    @property
    def known_targets(self) -> Tensor:
        """The targets. Raises ValueError where there are none."""
        if self.targets is None:
            raise ValueError("this metric requires targets, and the data has none")
        return self.targets

    def __len__(self) -> int:
        return len(self.indices)
