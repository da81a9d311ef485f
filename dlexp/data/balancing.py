"""Balanced training: as many samples of each class in an epoch, or losses that weigh as a class is rare.

Symbols: N training samples, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.data.bundle import Split
from dlexp.data.columns import Transform
from dlexp.findings import counted
from dlexp.runtime.seed import generator, order
from dlexp.types import Field, as_tensor

_AGAIN = 40  # bits by which the number of a sample is shifted where it comes again: its random changes are other ones
_PRIOR = "Predictions are not corrected: probabilities are those of equally frequent classes"


@dataclass(frozen=True)
class EpochOrder:
    """The samples of an epoch.

    positions  (N,) int64 positions in the training split
    again      (N,) int64 a number that differs between the occurrences of a sample
    """

    positions: Tensor
    again: Tensor


class BalancedOrder:
    """The order of training samples in which each class fills the same number of places in every epoch.

    Each class is gone through again and again, every time in another order, and an epoch continues where the one before
    ended: all samples of a class are seen equally often, give or take one. The place in it is computed from the number
    of the epoch, so that there is nothing to save.

    Args:
        labels: (N,) int64 class numbers.
        seed: Seed of the run.
    """

    def __init__(self, labels: Tensor, seed: int) -> None:
        numbers = labels.unique().tolist()
        self._rows = [torch.nonzero(labels == number).flatten() for number in numbers]
        self._seed, self._count = seed, len(labels)

    def places(self) -> list[int]:
        """The number of places of each class that occurs in an epoch; they differ by one at most."""
        share, rest = divmod(self._count, len(self._rows))
        return [share + (number < rest) for number in range(len(self._rows))]

    def epoch(self, epoch: int, attempt: int = 0) -> EpochOrder:
        """The samples of `epoch`: the same in another order for each `attempt`."""
        positions, again = [], []
        for number, (rows, places) in enumerate(zip(self._rows, self.places(), strict=True)):
            first = epoch * places
            rounds = range(first // len(rows), -(-(first + places) // len(rows)))
            orders = [torch.randperm(len(rows), generator=generator(self._seed, "balance", number, r)) for r in rounds]
            begin = first - rounds[0] * len(rows) if rounds else 0
            positions.append(rows[torch.cat(orders)[begin : begin + places]] if places else rows[:0])
            counted = torch.arange(len(rounds)).repeat_interleave(len(rows))
            again.append(counted[begin : begin + places])
        shuffled = order(self._count, self._seed, epoch, attempt)
        return EpochOrder(torch.cat(positions)[shuffled], torch.cat(again)[shuffled])


@dataclass(frozen=True)
class ChangedAgain:
    """A transform of samples of which some come several times in an epoch: each time with other random numbers.

    again  (B,) int64, see `EpochOrder`
    """

    transform: Transform
    again: Tensor

    @property
    def moves_targets(self) -> bool:
        """Whether targets are changed."""
        return self.transform.moves_targets

    def __call__(self, inputs: Field, targets: Field | None, indices: Tensor) -> tuple[Field, Field | None]:
        """The changed inputs and targets."""
        return self.transform(inputs, targets, indices + (self.again.to(indices.device) << _AGAIN))


def class_numbers(split: Split) -> Tensor:
    """(N,) int64 class numbers of a split, on the CPU. Raises TypeError for other targets."""
    assert split.targets is not None
    pieces: Iterator[Field] = split.targets.read(torch.arange(len(split)).split(1 << 16))
    return torch.cat([as_tensor(piece).cpu() for piece in pieces])


def balance_notes(balance: str, counts: Sequence[int], names: Sequence[str]) -> list[str]:
    """What balanced training changes, as a message to the user; [] if it changes nothing.

    Args:
        balance: data.balance.
        counts: (K,) training samples of each class.
        names: (K,) names of the classes.
    """
    present = [(count, name) for count, name in zip(counts, names, strict=True) if count]
    if balance == "none" or len(present) < 2:
        return []
    total, classes = sum(counts), len(present)
    rare, frequent = min(present), max(present)
    if rare[0] == frequent[0]:
        return [f"data.balance={balance} changes little: every class has {counted(rare[0], 'training sample')} already"]
    shares = f"each of {classes} classes counts {1 / classes:.1%}, instead of {rare[0] / total:.1%} "
    shares += f"({rare[1]!r}) to {frequent[0] / total:.1%} ({frequent[1]!r})"
    if balance == "sampling":
        times = [f"{total / classes / count:.2g} times for {name!r}" for count, name in (rare, frequent)]
        effect = f"a training sample is seen {times[0]} and {times[1]} per epoch, on average"
        decide = "val/loss still counts classes as often as they occur. To decide by all classes alike, set "
        decide += "trainer.monitor=val/balanced_accuracy"
    else:
        weighs = [f"{total / classes / count:.2g} for {name!r}" for count, name in (rare, frequent)]
        effect = f"the loss of a sample weighs {weighs[0]} and {weighs[1]}"
        decide = "val/loss has the same weights"
    return [
        f"data.balance={balance}: {shares}; {effect}. {decide}. {_PRIOR}. For those of the data, set data.balance=none"
    ]
