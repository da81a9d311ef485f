"""The update of a phase as a function of tensors: the eager `step_phase`, run on tensors in place of its numbers.

It is what a recording hashes and what a graph is traced from, so the graph computes what the eager update computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy as shallow
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlexp.engine.one_graph.recording import Untraceable
from dlexp.engine.one_graph.tensor_numbers import TensorNumbers
from dlexp.engine.state import EpochSums, TrainState
from dlexp.engine.step import StepRules, step_phase
from dlexp.optim.plain_steps import plain_step, state_tensors, unchanged_state
from dlexp.tasks.base import Task
from dlexp.types import Batch, Field, Mixed


@dataclass(frozen=True)
class PhaseUpdate:
    """A phase of an update, with all that it reads.

    rules  those of the eager update
    turn   name of the phase, and the number of its run within the update, from 0
    """

    task: Task
    state: TrainState
    micro_batches: Sequence[Batch]
    rules: StepRules
    turn: tuple[str, int]

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the phase."""
        return self.state.optimizers[self.turn[0]]


@dataclass
class Numbers:
    """The numbers of an update that change from one to the next, as tensors.

    rates   float64, shape () each: the learning rate of each parameter group
    counts  float64, shape () each: the counts in the groups of the optimizer, none where they do not matter
    noise   the noise that is added to the gradient of each parameter, none without
    """

    rates: list[Tensor]
    counts: list[Tensor] = field(default_factory=list)
    noise: list[Tensor] = field(default_factory=list)

    def tensors(self) -> list[Tensor]:
        """All of them, in order."""
        return [*self.rates, *self.counts, *self.noise]


@dataclass
class PhaseOutcome:
    """What an update returned beside what it changed.

    names   name of each value for the sums of the epoch, and the number of the micro batch that it is of
    values  those values, as `EpochSums.add` takes them
    finite  shape () bool: whether losses and gradients are finite; where they are not, nothing was changed
    """

    names: list[tuple[str, int]]
    values: list[Tensor]
    finite: Tensor

    def tensors(self) -> list[Tensor]:
        """All tensors, in order."""
        return [*self.values, self.finite]


class _Sums(EpochSums):
    """Takes down what is added in place of adding it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, Tensor]] = []

    def add(self, name: str, values: Tensor | float, weight: Tensor | float) -> None:
        """Note the values; their weights are known without the update."""
        if not isinstance(values, Tensor):
            raise Untraceable(f"the value {name!r} is a number of Python")
        self.taken.append((name, values.detach()))


class _GivenNoise:
    """Adds noise that was drawn outside: a generator cannot be seeded within a graph."""

    def __init__(self, noise: Sequence[Tensor]) -> None:
        self._noise = noise

    def __call__(self, optimizer: Optimizer, step: int) -> None:
        """Add it to the gradients."""
        for parameter, noise in zip(_learning(optimizer), self._noise, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(noise)


def tensors_changed_by(update: PhaseUpdate, networks: Sequence[Tensor]) -> list[Tensor]:
    """Every tensor that an update may change: those of the networks, and the state of the optimizer."""
    return [*networks, *state_tensors(update.optimizer)]


def run_as_graph(
    update: PhaseUpdate, given: Sequence[Tensor], batches: Sequence[Batch], numbers: Numbers
) -> PhaseOutcome:
    """Make the update in place, as a graph will.

    Args:
        update: The update.
        given: Every tensor that it may change, from `tensors_changed_by`.
        batches: Its micro batches, with tensors for the numbers in them.
        numbers: The numbers that change.

    Raises Untraceable for what a graph cannot hold, and what the update raises.
    """
    rules, sums = update.rules, _Sums()
    parameters = list(_learning(update.optimizer))
    before = [(tensor, tensor._version, tensor.detach().clone()) for tensor in given]
    flags: list[Tensor] = []

    def backward(loss: Tensor) -> None:
        rules.backward(loss)
        flags[:] = [_finite(loss, parameters, rules.limits_gradient)]

    noise: Any = _GivenNoise(numbers.noise) if rules.noise is not None else None
    inner = replace(rules, check_every_step=False, noise=noise, backward=backward, graphs=None)
    state = shallow(update.state)
    state.sums = sums
    for parameter in parameters:
        parameter.grad = None
    with plain_step(update.optimizer, numbers.rates, numbers.counts), TensorNumbers():
        step_phase(update.task, state, batches, inner, update.turn)
    finite = flags[0]
    if rules.check_every_step:  # else nothing looks at the flag before the epoch ends
        with torch.no_grad():
            for tensor, version, old in before:
                if tensor._version != version:
                    tensor.copy_(torch.where(finite, tensor, old))
    return PhaseOutcome(_numbered(sums.taken, len(batches)), [value for _, value in sums.taken], finite)


@contextmanager
def as_compiled() -> Iterator[None]:
    """Within it `torch.compiler.is_compiling()` is true: torch's optimizers then keep their numbers in tensors."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


@contextmanager
def undone(update: PhaseUpdate, given: Sequence[Tensor]) -> Iterator[None]:
    """Undo what happens to the tensors, the optimizer's counts and the gradients within it."""
    kept = [tensor.detach().clone() for tensor in given]
    with unchanged_state(update.optimizer):
        try:
            yield
        finally:
            with torch.no_grad():
                if given:
                    torch._foreach_copy_([tensor.detach() for tensor in given], kept)
            for parameter in _learning(update.optimizer):
                parameter.grad = None


@contextmanager
def idle_optimizer(update: PhaseUpdate) -> Iterator[None]:
    """Within it the optimizer's step does nothing: what is left is losses and gradients."""
    vars(update.optimizer)["step"] = lambda closure=None: None
    try:
        yield
    finally:
        del vars(update.optimizer)["step"]


def flattened(batches: Sequence[Batch]) -> tuple[list[Tensor], list[Batch]]:
    """(the tensors of the micro batches, in order; the same micro batches with tensors for their numbers)."""
    tensors: list[Tensor] = []
    rebuilt = []
    for batch in batches:
        tensors += [*_parts(batch.inputs), *_parts(batch.targets), batch.indices]
        if batch.mixed is not None:
            share = torch.tensor(batch.mixed.share, dtype=torch.float32, device=batch.indices.device)
            tensors += [batch.mixed.targets, share]
            mixed: Any = Mixed(batch.mixed.targets, share)  # type: ignore[arg-type]
            batch = replace(batch, mixed=mixed)
        rebuilt.append(batch)
    return tensors, rebuilt


def _parts(given: Field | None) -> list[Tensor]:
    if given is None:
        return []
    if isinstance(given, Tensor):
        return [given]
    if isinstance(given, Mapping):
        return list(given.values())
    return [given.values, given.lengths]


def _finite(loss: Tensor, parameters: Sequence[nn.Parameter], has_norm: bool) -> Tensor:
    """Shape () bool: whether a loss and the gradients so far are finite, and their norm where it is used."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    with torch.no_grad():
        if has_norm and gradients:
            total = nn.utils.get_total_norm(gradients)
        else:  # x - x is 0, or NaN for what is not finite
            total = torch.stack([(g - g).sum().float() for g in gradients]).sum() if gradients else loss.detach()
        return torch.isfinite(total + loss.detach())


def _learning(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _numbered(taken: Sequence[tuple[str, Tensor]], count: int) -> list[tuple[str, int]]:
    """Each micro batch adds the same names."""
    each = len(taken) // count
    return [(name, number // each) for number, (name, _) in enumerate(taken)]
