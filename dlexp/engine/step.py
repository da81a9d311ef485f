"""One update: for every phase, the loss of some micro batches, its gradient, and a step. The only `backward()`.

Symbols: B samples in a batch; micro batches are the batches whose gradients are added up for one update; R processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlexp.engine.closure import step_with_closure
from dlexp.engine.gradients import forget_gradients, is_gradient_finite, limit_gradient
from dlexp.engine.snapshot import NoSnapshot, Snapshot
from dlexp.engine.state import TrainState
from dlexp.engine.zeros import ZeroWeights
from dlexp.errors import Diverged
from dlexp.optim.parameter_groups import weights_of
from dlexp.regularization.constraints import MaxNorm
from dlexp.regularization.gradient_noise import GradientNoise
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.distributed import ALONE, ProcessGroup
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import derive, nth, seed_step
from dlexp.tasks.base import Task
from dlexp.types import Batch

NO_SNAPSHOT = NoSnapshot()


def default_backward(loss: Tensor) -> None:
    """Add the gradients of a loss of shape () to those of the parameters."""
    loss.backward()


class PhaseRunner(Protocol):
    """Makes a phase of an update in another way than operation by operation, to the same result within rounding."""

    def __call__(
        self, task: Task, state: TrainState, micro_batches: Sequence[Batch], rules: StepRules, turn: tuple[str, int]
    ) -> bool:
        """Make the phase; False where it must be made as usual, with nothing changed."""


@dataclass(frozen=True)
class StepRules:
    """The rules of an update, the same for every update of a run.

    Attributes:
        precision: Number format of forward and backward pass.
        penalty: Penalty on the weights, added to the loss.
        clip_norm: Largest norm of a phase's whole gradient, None for no limit.
        seed: Seed of the run.
        check_every_step: Check every loss and gradient before it is used. Next to free on a CPU, a wait on a GPU.
        noise: Noise added to each gradient, None for none.
        max_norm: Limit of the weights after an update, None for none.
        gradient_norm: Norm that a phase's whole gradient is scaled to, up or down, None to leave it.
        group: The processes that make the update together.
        backward: Computes the gradients of a loss of shape (); an instrument measures it here.
        graphs: Makes phases as one graph each, None for operation by operation.
        zeros: Weights that are zero and stay zero, None for none.
    """

    precision: Precision
    penalty: Penalty
    clip_norm: float | None
    seed: int
    check_every_step: bool
    noise: GradientNoise | None = None
    max_norm: MaxNorm | None = None
    gradient_norm: float | None = None
    group: ProcessGroup = ALONE
    backward: Callable[[Tensor], None] = default_backward
    graphs: PhaseRunner | None = None
    zeros: ZeroWeights | None = None

    @property
    def limits_gradient(self) -> bool:
        """Whether gradients are scaled before the optimizer applies them."""
        return self.clip_norm is not None or self.gradient_norm is not None


def train_step(
    task: Task, state: TrainState, micro_batches: Sequence[Batch], rules: StepRules, snapshot: Snapshot = NO_SNAPSHOT
) -> None:
    """Change `state` by one update on `micro_batches`, and add the losses to the sums of the epoch.

    The gradient is that of the mean over all terms of the loss (`Task.loss_weight`) in all micro batches of all
    processes: four batches of 8 samples give that of one of 32, and a short last batch weighs what it holds.
    Raises Diverged for a loss or a gradient that is not finite, before the weights of the phase are changed; restore
    `snapshot` to undo the rest.
    """
    state.sums.learning_rates = state.learning_rates
    snapshot.begin_update(state)
    scale = state.scaler.get_scale()
    for name, phase in task.phases.items():
        if phase.runs_in(state.step):
            for repetition in range(phase.repeat):
                if repetition:
                    state.scaler.update()  # an optimizer steps once between two updates of the scale
                snapshot.begin_phase(name, repetition)
                turn = (name, repetition)
                if rules.graphs is None or not rules.graphs(task, state, micro_batches, rules, turn):
                    step_phase(task, state, micro_batches, rules, turn, snapshot)
        state.schedules[name].step()
    state.scaler.update()
    # Where the scale has shrunk, fp16 overflowed, and no update was made.
    end_update(state, micro_batches, is_made=state.scaler.get_scale() >= scale)


def end_update(state: TrainState, micro_batches: Sequence[Batch], is_made: bool = True) -> None:
    """Count an update whose phases have run."""
    if is_made:
        state.average.after_update()
    state.sums.count += sum(len(batch) for batch in micro_batches)
    state.batch += len(micro_batches)
    state.step += 1


def step_phase(
    task: Task,
    state: TrainState,
    micro_batches: Sequence[Batch],
    rules: StepRules,
    turn: tuple[str, int],
    snapshot: Snapshot = NO_SNAPSHOT,
) -> None:
    """One phase of an update: the gradient of its loss, and its optimizer's step. Raises Diverged.

    turn  name of the phase, and the number of its run within the update, from 0
    """
    phase, group = turn[0], rules.group
    task.begin_phase(state.epoch, state.step)
    losses = _gradient(task, state, micro_batches, rules, turn, snapshot)
    updated, optimizer = apply_rules(task, state, micro_batches[0], rules, turn, snapshot)

    def recompute() -> float:
        summands = _gradient(task, state, micro_batches, rules, turn, NO_SNAPSHOT, is_first=False)
        limit_gradient(updated, state.scaler, optimizer, rules.clip_norm, rules.gradient_norm)
        return _total(summands, group)

    if not state.traits[phase].needs_closure:
        state.scaler.step(optimizer)
    elif not step_with_closure(optimizer, state.networks, _total(losses, group), recompute, rules.check_every_step):
        raise _not_finite("the update led to where nothing is finite", phase, state, micro_batches[0], state.batch + 1)
    limit_weights(updated, rules)


def limit_weights(updated: list[nn.Module], rules: StepRules) -> None:
    """After an optimizer's step: limit the norms of weights, and keep zero weights zero."""
    if rules.max_norm is not None:
        rules.max_norm(updated)
    if rules.zeros is not None:
        rules.zeros.after()


def apply_rules(
    task: Task,
    state: TrainState,
    batch: Batch,
    rules: StepRules,
    turn: tuple[str, int],
    snapshot: Snapshot = NO_SNAPSHOT,
) -> tuple[list[nn.Module], Optimizer]:
    """Make the gradient of a phase ready for its optimizer: its norm limited, checked, and noise added.

    batch  the first one of the update, for the message
    Returns the networks that the phase updates, and its optimizer. Raises Diverged for a gradient that is not finite.
    """
    phase = turn[0]
    updated, optimizer = [state.networks[name] for name in task.phases[phase].networks], state.optimizers[phase]
    snapshot.begin_stage("gradient")
    norm = limit_gradient(updated, state.scaler, optimizer, rules.clip_norm, rules.gradient_norm)
    # In fp16 an overflow is expected: the scaler skips the update by itself and lowers its scale.
    if rules.check_every_step and not state.scaler.is_enabled():
        finite = is_gradient_finite(optimizer) if norm is None else isfinite(norm)
        if rules.group.any(not finite):
            what = "the gradient is not finite" + (f" (its norm is {float(norm)})" if norm is not None else "")
            raise _not_finite(what, phase, state, batch, state.batch + 1)
    snapshot.begin_stage("update")
    if rules.noise is not None:
        _disturb(rules.noise, state, rules, turn)
    if rules.zeros is not None:
        rules.zeros.before(state, updated)
    return updated, optimizer


def _gradient(
    task: Task,
    state: TrainState,
    micro_batches: Sequence[Batch],
    rules: StepRules,
    turn: tuple[str, int],
    snapshot: Snapshot,
    *,
    is_first: bool = True,
) -> list[Tensor]:
    """Put the gradient of a phase's loss into its parameters; returns the summands of that loss.

    is_first  false where the micro batches were counted before: nothing is recorded, and a line search deals with
              losses that are not finite
    Raises Diverged for a loss that is not finite.
    """
    phase, group = turn[0], rules.group
    weights = [plain_weight(task.loss_weight(phase, batch)) for batch in micro_batches]
    weight = group.sum(sum(weights))
    is_whole = len(micro_batches) == 1 and group.size == 1
    forget_gradients(state.optimizers[phase])
    seed_step(phase_seed(state, rules, turn, group.rank))
    losses = []
    for number, batch in enumerate(micro_batches):
        with rules.precision.autocast():
            output = task.loss(phase, _networks(state), batch)
        if is_first:
            value = output.value.detach()
            snapshot.add_loss(value)
            known = value.item() if rules.check_every_step else value
            if rules.check_every_step and group.any(not isfinite(known)):
                raise _not_finite(f"the loss became {known}", phase, state, batch, state.batch + number + 1)
            record_loss(state, task, phase, known, output.parts, weights[number])
        loss = output.value if is_whole else output.value * (weights[number] * group.size / weight)
        if rules.penalty and batch is micro_batches[-1]:
            updated = task.phases[phase].networks
            loss = loss + rules.penalty(weights_of([state.networks[name] for name in updated]))
        rules.backward(state.scaler.scale(loss))
        losses.append(loss.detach())
    return losses


def _total(losses: Sequence[Tensor], group: ProcessGroup) -> float:
    """The loss of the update: the mean over the processes of the sums of their summands."""
    return float(group.sum(sum(loss.item() for loss in losses)) / group.size)


def plain_weight(weight: int | Tensor) -> int | float | Tensor:
    """A number on a CPU; a tensor on a GPU, so that nothing waits for it, and in a graph, which reads no number."""
    if not isinstance(weight, Tensor):
        return weight
    is_read = weight.device.type == "cpu" and not torch.compiler.is_compiling()
    return float(weight) if is_read else weight.detach().double()


def skip_step(task: Task, state: TrainState, micro_batches: Sequence[Batch], turn: tuple[str, int]) -> None:
    """Leave out the update of a phase and of those behind it, as the fp16 scaler does.

    The position and every schedule move on, so that the run ends where it was meant to.

    turn  name of the phase, and the number of its run within the update, from 0
    """
    abandon_update(task, state, turn)
    names = list(task.phases)
    for name in names[names.index(turn[0]) :]:
        state.schedules[name].step()
    state.batch += len(micro_batches)
    state.step += 1


def abandon_update(task: Task, state: TrainState, turn: tuple[str, int]) -> None:
    """End an update within the phase of `turn`: the scaler forgets the phases that it has stepped since its update."""
    phase, repetition = turn
    earlier = list(task.phases)[: list(task.phases).index(phase)]
    if not repetition and any(task.phases[name].runs_in(state.step) for name in earlier):
        state.scaler.update()


def phase_seed(state: TrainState, rules: StepRules, turn: tuple[str, int], rank: int = 0, ahead: int = 0) -> int:
    """Seed of torch's generators in a phase: a function of its place in the run, its repetition and the rank.

    rank   0 for what must be the same in all processes
    ahead  batches of the epoch from the present one to the place
    """
    phase, repetition = turn
    seed = nth(_epoch_seed(rules.seed, phase, state.epoch, rank), state.batch + ahead)
    return derive(seed, "repeat", repetition) if repetition else seed


@lru_cache(maxsize=256)  # members of a stack have seeds of their own
def _epoch_seed(seed: int, phase: str, epoch: int, rank: int) -> int:
    return derive(seed, "step", phase, epoch, *(("rank", rank) if rank else ()))


def _disturb(noise: GradientNoise, state: TrainState, rules: StepRules, turn: tuple[str, int]) -> None:
    """Add the noise of this place, however much was drawn before it."""
    optimizer = state.optimizers[turn[0]]
    if not rules.limits_gradient:
        state.scaler.unscale_(optimizer)  # else the noise would be divided by the scale
    seed_step(derive(phase_seed(state, rules, turn), "noise"))
    noise(optimizer, state.step)


def _networks(state: TrainState) -> Mapping[str, nn.Module]:
    return dict(state.networks._modules)  # half the time of `items()`


def record_loss(
    state: TrainState,
    task: Task,
    phase: str,
    value: Tensor | float,
    parts: Mapping[str, Tensor],
    weight: int | float | Tensor,
) -> None:
    """Add the loss of a micro batch and its parts to the sums of the epoch; `weight` is that of `plain_weight`."""
    prefix = "" if len(task.phases) == 1 else f"{phase}_"
    state.sums.add(f"{prefix}loss", value, weight)
    for name, values in parts.items():
        state.sums.add(f"{prefix}{name}", values, weight)


def _not_finite(what: str, phase: str, state: TrainState, batch: Batch, number: int) -> Diverged:
    indices = batch.indices[:8].tolist()
    return Diverged(
        f"{what} in phase {phase!r}, epoch {state.epoch + 1}, batch {number} "
        f"(update {state.step + 1}, learning rate {state.learning_rates[phase]:g}, rows {indices}...)",
        "try a smaller optim.lr, trainer.clip_norm=1.0, or look at these rows",
    )
