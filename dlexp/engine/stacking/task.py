"""The stack's task: the loss of K runs is the sum of theirs, so the gradient of each is its own.

Symbols: K members, B samples in a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.engine.loop import Update
from dlexp.engine.stacking.network import StackedNetwork
from dlexp.engine.step import plain_weight
from dlexp.optim.parameter_groups import weights_of
from dlexp.tasks.base import Networks, Phase, Task
from dlexp.types import Batch, Field, LossOutput, Prediction


@dataclass(frozen=True)
class StackedBatch(Batch):
    """A micro batch of each member.

    inputs   (K, B, *shape), or several of them by name
    members  the batch of each
    masks    those of dropout, in the order in which a network applies them
    """

    members: tuple[Batch, ...] = ()
    masks: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class MemberLoss:
    """What a micro batch adds to the sums of a member's epoch."""

    value: float | Tensor
    parts: Mapping[str, Tensor]
    weight: int | float | Tensor


class StackedTask(Task):
    """The losses of the members, each computed by its own task from its rows of the outputs.

    Args:
        phase: Name of the one phase of the members' tasks.
        size: K.

    Attributes:
        failed: Members that are absent from this update, or whose loss or gradient is not finite in it.
        losses: Those of each member in this update, one for each micro batch.
    """

    def __init__(self, phase: str, size: int) -> None:
        self.phases: Mapping[str, Phase] = {phase: Phase(("model",))}
        self.failed: set[int] = set()
        self.losses: list[list[MemberLoss]] = []
        self._answers = [_Answer() for _ in range(size)]
        self._updates: Sequence[Update] = ()

    def begin(self, updates: Sequence[Update], absent: Collection[int] = ()) -> None:
        """Before an update of the stack, which members that are absent take no part in."""
        self._updates, self.failed, self.losses = updates, set(absent), [[] for _ in updates]

    def loss_weight(self, phase: str, batch: Batch) -> int:
        """1 for each micro batch: the members weigh their own."""
        return 1

    def begin_phase(self, epoch: int, step: int) -> None:
        """Begin the phase of each member at its own position."""
        for update in self._updates:
            update.task.begin_phase(update.state.epoch, update.state.step)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The sum of the members' losses; those that are not finite are left out and noted."""
        network, outputs = _network_and_outputs(networks, batch)
        assert isinstance(batch, StackedBatch)
        number = len(self.losses[0])
        rows = network.rows() if any(update.rules.penalty for update in self._updates) else {}
        found = self._losses(phase, batch, outputs)
        values = []
        for member, (update, given, output) in enumerate(zip(self._updates, batch.members, found, strict=True)):
            weight = update.task.loss_weight(phase, given)
            self.losses[member].append(MemberLoss(output.value.detach(), output.parts, plain_weight(weight)))
            values.append(_share(update, phase, number, weight, output.value))
            if update.rules.penalty and number == len(update.micro_batches) - 1:
                updated = weights_of([update.state.networks["model"]])
                # The engine divides the loss of the stack by the number of micro batches, which its share undoes.
                penalty = update.rules.penalty([rows[id(weight)] for weight in updated])  # type: ignore[misc]
                values[-1] = values[-1] + penalty * len(update.micro_batches)
        self._read()
        finite = [value for member, value in enumerate(values) if member not in self.failed]
        return LossOutput(torch.stack(finite).sum() if finite else torch.stack(values).sum() * 0.0)

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Members are evaluated one by one, by their own tasks."""
        raise NotImplementedError

    def _losses(self, phase: str, batch: StackedBatch, outputs: Tensor) -> list[LossOutput]:
        """The loss of each member, one by one: with 10 members that takes less than `vmap` (59 and 85 us a member)."""
        found = []
        for update, answer, own, given in zip(
            self._updates, self._answers, outputs.unbind(), batch.members, strict=True
        ):
            answer.expect(given.inputs, own)
            found.append(update.task.loss(phase, {"model": answer}, given))
        return found

    def _read(self) -> None:
        """Note which of the last losses are not finite, where losses are checked in every update."""
        last = [found[-1] for found in self.losses]
        numbers = torch.stack([torch.as_tensor(loss.value) for loss in last]).tolist()
        for member, (update, loss, number) in enumerate(zip(self._updates, last, numbers, strict=True)):
            if update.rules.check_every_step:
                self.losses[member][-1] = MemberLoss(number, loss.parts, loss.weight)
                if not isfinite(number):
                    self.failed.add(member)


class _Answer(nn.Module):
    """Stands for the network of a member, whose outputs are known."""

    def __init__(self) -> None:
        super().__init__()
        self._expected: list[tuple[Field, Tensor]] = []  # a list, since a module takes long to set an attribute

    def expect(self, inputs: Field, outputs: Tensor) -> None:
        """The one call that follows has these inputs."""
        self._expected[:] = [(inputs, outputs)]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The outputs. Raises ValueError for other inputs, and for a second call."""
        inputs, outputs = self._expected.pop() if self._expected else (None, None)
        if outputs is None or (args and args[0] is not inputs):
            raise ValueError("the task calls the network in another way than once on the inputs of the batch")
        return outputs


def _network_and_outputs(networks: Networks, batch: Batch) -> tuple[StackedNetwork, Tensor]:
    network = networks["model"]
    assert isinstance(network, StackedNetwork) and isinstance(batch, StackedBatch)
    outputs: Tensor = network(batch.inputs, batch.masks)
    return network, outputs


def _share(update: Update, phase: str, number: int, weight: int | Tensor, value: Tensor) -> Tensor:
    """The loss of a micro batch by its share of the member's update, times their number."""
    count = len(update.micro_batches)
    if count == 1:
        return value
    total = sum(plain_weight(update.task.loss_weight(phase, batch)) for batch in update.micro_batches)
    return value * (plain_weight(weight) * count / total)
