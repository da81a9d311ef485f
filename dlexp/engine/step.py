"""One update: for every phase, the loss of a window of batches, its gradient, and a step. The only `backward()`.

Symbols: B samples in a batch; a window is the batches whose gradients are added up for one update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import isfinite

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlexp.engine.closure import step_with_closure
from dlexp.engine.snapshot import Before
from dlexp.engine.state import TrainState
from dlexp.errors import Diverged
from dlexp.optim.parameter_groups import weights_of
from dlexp.regularization.constraints import MaxNorm
from dlexp.regularization.gradient_noise import GradientNoise
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import derive, nth, seed_step
from dlexp.tasks.base import Task
from dlexp.types import Batch

_LEAST_NORM = 1e-12  # a gradient of zeros stays one


@dataclass(frozen=True)
class StepRules:
    """How an update is made; the same for every update of a run.

    clip_norm       largest norm of a phase's whole gradient, None for no limit
    gradient_norm   what the norm of a phase's whole gradient is made, up or down, None for what it is
    check_at_once   look at every loss and gradient before it is used: next to free on a CPU, a wait on a GPU
    noise           what is added to each gradient after that, None for nothing
    max_norm        what weights keep after an update, None for no limit
    """

    precision: Precision
    penalty: Penalty
    clip_norm: float | None
    seed: int
    check_at_once: bool
    noise: GradientNoise | None = None
    max_norm: MaxNorm | None = None
    gradient_norm: float | None = None


def train_step(
    task: Task, state: TrainState, window: Sequence[Batch], rules: StepRules, before: Before | None = None
) -> None:
    """Change `state` by one update on `window`; adds the losses to the sums of the epoch.

    The gradient is that of the mean over all samples of the window, so that four batches of 8 are one of 32 and a
    short last window weighs what it holds. Raises Diverged for a loss or a gradient that is not finite, before the
    phase's weights are changed; `before` is then what undoes the rest.
    """
    state.sums.learning_rate = state.learning_rate
    if before is not None:
        before.window_begins(state)
    for phase in task.phases:
        if before is not None:
            before.phase_begins(phase)
        step_phase(task, state, window, rules, phase, before)
        state.schedules[phase].step()
    scale = state.scaler.get_scale()
    state.scaler.update()
    if state.scaler.get_scale() >= scale:  # else fp16 overflowed, and no update was made
        state.average.after_update()
    state.sums.count += sum(len(batch) for batch in window)
    state.batch += len(window)
    state.step += 1


def step_phase(
    task: Task, state: TrainState, window: Sequence[Batch], rules: StepRules, phase: str, before: Before | None = None
) -> None:
    """One phase of an update: the gradient of its loss over the window, and its optimizer's step. Raises Diverged."""
    updated = [state.networks[name] for name in task.phases[phase]]
    optimizer = state.optimizers[phase]
    losses = _gradient(task, state, window, rules, phase, before)
    if before is not None:
        before.stage = "gradient"
    norm = _limited(state, optimizer, updated, rules)
    # In fp16 an overflow is no accident: the scaler skips the update by itself and lowers its scale.
    looked_at = rules.check_at_once and not state.scaler.is_enabled()
    if looked_at and not (_all_finite(optimizer) if norm is None else isfinite(norm)):
        what = "the gradient is not finite" + (f" (its norm is {float(norm)})" if norm is not None else "")
        raise _not_finite(what, phase, state, window[0], state.batch + 1)
    if before is not None:
        before.stage = "update"
    if rules.noise is not None:
        _disturb(rules.noise, state, rules, phase)

    def again() -> float:
        found = _gradient(task, state, window, rules, phase, None, again=True)
        _limited(state, optimizer, updated, rules)
        return _total(found)

    if not getattr(optimizer, "needs_closure", False):
        state.scaler.step(optimizer)
    elif not step_with_closure(optimizer, state.networks, _total(losses), again, rules.check_at_once):
        raise _not_finite("the update led to where nothing is finite", phase, state, window[0], state.batch + 1)
    if rules.max_norm is not None:
        rules.max_norm(updated)


def _gradient(
    task: Task,
    state: TrainState,
    window: Sequence[Batch],
    rules: StepRules,
    phase: str,
    before: Before | None,
    *,
    again: bool = False,
) -> list[Tensor]:
    """Put the gradient of a phase's loss over `window` into its parameters; returns the summands of that loss.

    again  whether the window was counted already: nothing is recorded, and a line search deals with what is not finite
    Raises Diverged for a loss that is not finite.
    """
    num_samples = sum(len(batch) for batch in window)
    updated = [state.networks[name] for name in task.phases[phase]]
    _forget_gradients(state.optimizers[phase])
    seed_step(phase_seed(state, rules, phase))
    losses = []
    for number, batch in enumerate(window, start=state.batch + 1):
        with rules.precision.autocast():
            output = task.loss(phase, _networks(state), batch)
        value = output.value.detach()
        if before is not None:
            before.losses.append(value)
        if not again:
            known = value.item() if rules.check_at_once else value
            if rules.check_at_once and not isfinite(known):
                raise _not_finite(f"the loss became {known}", phase, state, batch, number)
            _record(state, task, phase, known, output.parts, len(batch))
        loss = output.value if len(window) == 1 else output.value * (len(batch) / num_samples)
        if rules.penalty and batch is window[-1]:
            loss = loss + rules.penalty(weights_of(updated))
        state.scaler.scale(loss).backward()
        losses.append(loss.detach())
    return losses


def _total(losses: Sequence[Tensor]) -> float:
    return sum(loss.item() for loss in losses)


def skip_step(task: Task, state: TrainState, window: Sequence[Batch], phase: str) -> None:
    """Let `window` pass without the update of `phase` and of those behind it, as the fp16 scaler does.

    The position and every schedule move on, so that the run ends where it was meant to.
    """
    abandon_update(task, state, phase)
    names = list(task.phases)
    for name in names[names.index(phase) :]:
        state.schedules[name].step()
    state.batch += len(window)
    state.step += 1


def abandon_update(task: Task, state: TrainState, phase: str) -> None:
    """Leave an update in the middle, at `phase`: the scaler forgets the phases that it has stepped."""
    if phase != next(iter(task.phases)):
        state.scaler.update()


def phase_seed(state: TrainState, rules: StepRules, phase: str) -> int:
    """What torch's generators are seeded with for a phase: a function of its place."""
    return nth(_epoch_seed(rules.seed, phase, state.epoch), state.batch)


@lru_cache(maxsize=8)
def _epoch_seed(seed: int, phase: str, epoch: int) -> int:
    return derive(seed, "step", phase, epoch)


def _forget_gradients(optimizer: Optimizer) -> None:
    """What `optimizer.zero_grad()` does, without the profiler's marks around it: those cost more than the work."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def _limited(state: TrainState, optimizer: Optimizer, updated: Sequence[nn.Module], rules: StepRules) -> Tensor | None:
    """Scale the gradient to the norm or limit of the rules; its norm before that, shape (), or None with neither."""
    if not _limits(rules):
        return None
    state.scaler.unscale_(optimizer)  # else the limit would be compared with scaled gradients
    parameters = [p for network in updated for p in network.parameters()]
    if rules.gradient_norm is None:
        return nn.utils.clip_grad_norm_(parameters, rules.clip_norm or 0.0)
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, rules.gradient_norm / norm.clamp_min(_LEAST_NORM))
    return norm


def _limits(rules: StepRules) -> bool:
    return rules.clip_norm is not None or rules.gradient_norm is not None


def _disturb(noise: GradientNoise, state: TrainState, rules: StepRules, phase: str) -> None:
    """Add the noise of this place, however much was drawn before it."""
    if not _limits(rules):
        state.scaler.unscale_(state.optimizers[phase])  # else the noise would be divided by the scale
    seed_step(derive(phase_seed(state, rules, phase), "noise"))
    noise(state.optimizers[phase], state.step)


def _all_finite(optimizer: Optimizer) -> bool:
    """Whether every gradient is: one pass over them, with the kernel that a gradient scaler uses, at a scale of 1."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if not gradients:
        return True
    found, one = _found_and_one(gradients[0].device)
    try:
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, one)
    except (RuntimeError, NotImplementedError):  # gradients that are sparse or complex, or on several devices
        return all(isfinite(float(torch.linalg.vector_norm(g._values() if g.is_sparse else g))) for g in gradients)
    if not found.item():
        return True
    found.zero_()
    return False


@cache
def _found_and_one(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.zeros((), device=device), torch.ones((), device=device)


def _networks(state: TrainState) -> Mapping[str, nn.Module]:
    return dict(state.networks.items())


def _record(
    state: TrainState, task: Task, phase: str, value: Tensor | float, parts: Mapping[str, Tensor], weight: int
) -> None:
    prefix = "" if len(task.phases) == 1 else f"{phase}_"
    state.sums.add(f"{prefix}loss", value, weight)
    for name, values in parts.items():
        state.sums.add(f"{prefix}{name}", values, weight)


def _not_finite(what: str, phase: str, state: TrainState, batch: Batch, number: int) -> Diverged:
    indices = batch.indices[:8].tolist()
    return Diverged(
        f"{what} in phase {phase!r}, epoch {state.epoch + 1}, batch {number} "
        f"(update {state.step + 1}, learning rate {state.learning_rate:g}, rows {indices}...)",
        "try a smaller optim.lr, trainer.clip_norm=1.0, or look at these rows",
    )
