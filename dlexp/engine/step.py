"""One update: for every phase, the loss of a window of batches, its gradient, and a step. The only `backward()`.

Symbols: B samples in a batch; a window is the batches whose gradients are added up for one update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlexp.engine.state import TrainState
from dlexp.errors import Diverged
from dlexp.optim.groups import weights_of
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import derive, seed_step
from dlexp.tasks.base import Task
from dlexp.types import Batch


@dataclass(frozen=True)
class StepRules:
    """How an update is made; the same for every update of a run.

    clip_norm       largest norm of a phase's whole gradient, None for no limit
    check_at_once   look at every loss before it is used: free on a CPU, a wait on a GPU
    """

    precision: Precision
    penalty: Penalty
    clip_norm: float | None
    seed: int
    check_at_once: bool


def train_step(task: Task, state: TrainState, window: Sequence[Batch], rules: StepRules) -> None:
    """Change `state` by one update on `window`; adds the losses to the sums of the epoch.

    The gradient is that of the mean over all samples of the window, so that four batches of 8 are one of 32 and a
    short last window weighs what it holds. Raises Diverged for a loss that is not finite, before it is used.
    """
    num_samples = sum(len(batch) for batch in window)
    state.sums.learning_rate = state.learning_rate
    for phase, names in task.phases.items():
        updated = [state.networks[name] for name in names]
        optimizer = state.optimizers[phase]
        optimizer.zero_grad()
        seed_step(derive(rules.seed, "step", phase, state.epoch, state.batch))
        for number, batch in enumerate(window, start=state.batch + 1):
            with rules.precision.autocast():
                output = task.loss(phase, _networks(state), batch)
            if rules.check_at_once:
                _refuse_nonfinite(output.value, phase, state, batch, number)
            _record(state, task, phase, output.value, output.parts, len(batch))
            loss = output.value * (len(batch) / num_samples)
            if rules.penalty and batch is window[-1]:
                loss = loss + rules.penalty(weights_of(updated))
            state.scaler.scale(loss).backward()
        if rules.clip_norm is not None:
            state.scaler.unscale_(optimizer)  # else the limit would be compared with scaled gradients
            nn.utils.clip_grad_norm_([p for network in updated for p in network.parameters()], rules.clip_norm)
        state.scaler.step(optimizer)
        state.schedules[phase].step()
    state.scaler.update()
    state.sums.count += num_samples
    state.batch += len(window)
    state.step += 1


def _networks(state: TrainState) -> Mapping[str, nn.Module]:
    return dict(state.networks.items())


def _record(state: TrainState, task: Task, phase: str, value: Tensor, parts: Mapping[str, Tensor], weight: int) -> None:
    prefix = "" if len(task.phases) == 1 else f"{phase}_"
    state.sums.add(f"{prefix}loss", value, weight)
    for name, mean in parts.items():
        state.sums.add(f"{prefix}{name}", mean, weight)


def _refuse_nonfinite(value: Tensor, phase: str, state: TrainState, batch: Batch, number: int) -> None:
    if not torch.isfinite(value):
        rows = batch.rows[:8].tolist()
        raise Diverged(
            f"the loss became {value.item()} in phase {phase!r}, epoch {state.epoch + 1}, batch {number} "
            f"(update {state.step + 1}, learning rate {state.learning_rate:g}, rows {rows}...); "
            "try a smaller optim.lr, trainer.clip_norm=1.0, or look at these rows"
        )
