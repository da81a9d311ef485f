"""Recovery from an update whose loss or gradient is not finite, or that raises: stop, skip or roll back, and report.

On a CPU every loss and gradient is checked before it is used. On a GPU that would be a wait in every step, so sums
and weights are checked when an epoch ends and before each save; if one is not finite, the epoch is run again with a
check in every step, which locates the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from torch import nn

from dlexp.engine.snapshot import StepSnapshot
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules, abandon_update, phase_seed, skip_step, train_step
from dlexp.errors import Diverged, OutOfMemory
from dlexp.runtime.out_of_memory import out_of_memory
from dlexp.runtime.tensors import snapshot
from dlexp.tasks.base import Task
from dlexp.types import Batch


@dataclass(frozen=True)
class NonfinitePolicy:
    """The action (stop, skip or rollback) and its limit: updates skipped in a row, or rollbacks of one epoch."""

    action: str = "stop"
    limit: int = 5


@dataclass(frozen=True)
class NonFiniteEvent:
    """A loss, gradient or weight was not finite, and training continues.

    message         what happened and what was done
    is_rolled_back  whether the state is an earlier one, after `epoch` epochs and `step` updates
    """

    message: str
    is_rolled_back: bool
    epoch: int
    step: int


@dataclass(frozen=True)
class Failure:
    """A step that ended the run, with the state from before its phase.

    phase          its name
    repetition     number of its run within the update, from 0
    micro_batches  the batches of the update
    losses         those of the micro batches that were computed, in order
    stage          loss, gradient or update: where it failed; in the last, weights may have changed already
    torch_seed     seed of torch's generators in the phase
    generators     Python's and NumPy's generators at its beginning
    """

    error: Exception
    phase: str
    repetition: int
    stage: str
    micro_batches: tuple[Batch, ...]
    losses: tuple[float, ...]
    learning_rate: float
    epoch: int
    batch: int
    step: int
    state: dict[str, Any]
    torch_seed: int
    generators: dict[str, Any]


@dataclass(frozen=True)
class RecoveryHooks:
    """Policy of a run's recovery, and its callbacks.

    policy            the reaction to losses and gradients that are not finite
    keeps_generators  whether components may draw from Python's or NumPy's generators
    on_event          called when training continues after something was not finite
    on_failure        called when it ends; returns a line for the user
    """

    policy: NonfinitePolicy = NonfinitePolicy()
    keeps_generators: bool = False
    on_event: Callable[[NonFiniteEvent], None] = lambda event: None
    on_failure: Callable[[Failure], str] | None = None


class RolledBack(Exception):
    """The state is an earlier one, and the epoch continues from there."""


class Recovery:
    """Makes the updates of a run and reacts to those that fail."""

    def __init__(self, task: Task, rules: StepRules, state: TrainState, hooks: RecoveryHooks) -> None:
        self._task, self._rules, self._state, self._hooks = task, rules, state, hooks
        self._strict = replace(rules, check_every_step=True)
        self._checks_every_step = rules.check_every_step
        self._epoch_start = state.epoch_start
        self._snapshot = StepSnapshot(state.networks, hooks.keeps_generators)
        # What is infinite from the beginning, such as the mask of an attention, is meant to be.
        self._finite = [place for place in _places(state.networks) if bool(torch.isfinite(place[0][place[1]]).all())]
        if self._epoch_start is None:
            self._keep_epoch_start()

    def begin_epoch(self) -> None:
        """Before the updates of an epoch, or of the rest of one: find the buffers again, a module may replace them."""
        self._snapshot = StepSnapshot(self._state.networks, self._hooks.keeps_generators)

    def end_epoch(self) -> None:
        """After an epoch: keep the state for a rollback of the next one."""
        self._checks_every_step = self._rules.check_every_step
        self._keep_epoch_start()

    def update(self, micro_batches: Sequence[Batch]) -> None:
        """Make one update, or react to its failure as the policy says.

        Raises Diverged when training stops, RolledBack when the epoch continues from an earlier state, OutOfMemory.
        """
        try:
            train_step(self._task, self._state, micro_batches, self.rules, self._snapshot)
        except Diverged as error:
            self._react(error, micro_batches)
        except Exception as error:
            self._report_failure(error, micro_batches, error)
            known = self._out_of_memory(error, micro_batches)
            if known is None:
                raise
            raise known from error
        else:
            self.made()

    @property
    def rules(self) -> StepRules:
        """The rules of the next update."""
        return self._strict if self._checks_every_step else self._rules

    def made(self) -> None:
        """After an update that was made."""
        self._state.nonfinite.in_a_row = 0

    def check(self, means: dict[str, float]) -> None:
        """Check the means of the epoch and every weight. Raises Diverged or RolledBack as `update` does."""
        problem = self._problem(means)
        if not self._rules.group.any(bool(problem)):
            return
        problem = problem or "another process"
        if not self._checks_every_step and self._epoch_start is not None:
            self._checks_every_step = True
            message = (
                f"{problem}; re-running the epoch from the last good state with per-step checks to locate the cause"
            )
            self._return_to(message, self._epoch_start)
        remedy = "the last checkpoint is from before it; try a smaller optim.lr or trainer.clip_norm=1.0"
        self._roll_back_or_raise(Diverged(f"training diverged in {problem}", remedy))

    def _react(self, error: Diverged, micro_batches: Sequence[Batch]) -> None:
        policy, counts, first = self._hooks.policy, self._state.nonfinite, error
        turn = (self._snapshot.phase, self._snapshot.repetition)
        if policy.action == "skip" and counts.in_a_row < policy.limit:
            self._snapshot.restore(self._state)
            skip_step(self._task, self._state, micro_batches, turn)
            counts.skipped += 1
            counts.in_a_row += 1
            self._report(f"{error.what}: update skipped ({counts.in_a_row} in a row of at most {policy.limit})", False)
            return
        if policy.action == "skip":
            rule = (
                f"{policy.limit} updates in a row were skipped before it, the most that trainer.nonfinite_limit allows"
            )
            error = Diverged(f"{error.what}; {rule}", error.remedy)
        try:
            abandon_update(self._task, self._state, turn)
            self._roll_back_or_raise(error)
        except Diverged as final:
            self._report_failure(final, micro_batches, first)
            raise

    def _roll_back_or_raise(self, error: Diverged) -> None:
        policy, counts = self._hooks.policy, self._state.nonfinite
        if policy.action != "rollback":
            raise error
        if counts.attempt >= policy.limit:
            rule = f"this epoch was rolled back {policy.limit} times, the most that trainer.nonfinite_limit allows"
            raise Diverged(f"{error.what}; {rule}", error.remedy)
        if self._epoch_start is None or self._epoch_start["position"]["batch"]:
            rule = "the start of this epoch was not kept, since trainer.on_nonfinite=rollback was not set then"
            raise Diverged(f"{error.what}; {rule}", error.remedy)
        counts.rollbacks += 1
        counts.attempt += 1
        number = f"{counts.attempt} of at most {policy.limit}"
        message = f"{error.what}: rolled back to the start of the epoch, in another order ({number})"
        self._return_to(message, self._epoch_start)

    def _return_to(self, message: str, epoch_start: dict[str, Any]) -> None:
        """Load `epoch_start`; counts stay as they are. Raises RolledBack."""
        counts, kept = self._state.nonfinite, self._state.epoch_start
        self._state.load_state_dict(snapshot(epoch_start), allow_nonfinite=True)
        self._state.nonfinite, self._state.epoch_start = counts, kept
        self._report(message, True)
        raise RolledBack

    def _report(self, message: str, is_rolled_back: bool) -> None:
        if self._rules.group.rank == 0:
            self._hooks.on_event(NonFiniteEvent(message, is_rolled_back, self._state.epoch, self._state.step))

    def _keep_epoch_start(self) -> None:
        """Keep the present state, in the memory of the CPU, where it may be needed again."""
        rolls_back = self._hooks.policy.action == "rollback"
        if rolls_back or not self._rules.check_every_step:
            self._epoch_start = snapshot(self._state.state_dict())
        self._state.epoch_start = self._epoch_start if rolls_back and not self._state.batch else None

    def _report_failure(self, error: Exception, micro_batches: Sequence[Batch], cause: Exception) -> None:
        """Pass the failure to its callback; whatever fails there, `error` is the one that the user sees.

        cause  the exception of the step itself
        """
        if self._hooks.on_failure is None or self._rules.group.rank:
            return
        try:
            error.add_note(self._hooks.on_failure(self._failure(cause, micro_batches)))
        except Exception as second:
            error.add_note(f"the crash capsule could not be written: {str(second) or type(second).__name__}")

    def _failure(self, error: Exception, micro_batches: Sequence[Batch]) -> Failure:
        state, kept, group = self._state, self._snapshot, self._rules.group
        kept.restore(state)
        return Failure(
            error=error,
            phase=kept.phase,
            repetition=kept.repetition,
            stage=kept.stage,
            micro_batches=tuple(micro_batches),
            losses=tuple(float(loss) for loss in kept.losses),
            learning_rate=state.learning_rates[kept.phase],
            epoch=state.epoch,
            batch=state.batch,
            step=state.step,
            state={**state.state_dict(), "epoch_start": None},
            torch_seed=phase_seed(state, self._rules, (kept.phase, kept.repetition), group.rank),
            generators=kept.generators(),
        )

    def _out_of_memory(self, error: Exception, micro_batches: Sequence[Batch]) -> OutOfMemory | None:
        size, number = len(micro_batches[0]), len(micro_batches)
        remedy = "a smaller model"
        if size > 1:
            remedy = f"data.batch_size={size // 2} trainer.accumulate={2 * number} (the same samples in an update)"
        batches = f"{number} batches of {size} samples" if number > 1 else f"a batch of {size} samples"
        device = next(self._state.networks.parameters()).device
        return out_of_memory(error, f"an update on {batches}", device, remedy)

    def _problem(self, means: dict[str, float]) -> str:
        """Place and name of what is not finite, "" when everything is."""
        state = self._state
        wrong = [f"{name}={value}" for name, value in means.items() if value - value != 0]
        if not wrong and not self._are_weights_finite():
            wrong = ["a weight is not finite"]
        if not wrong and state.scaler.is_enabled() and state.scaler.get_scale() < _LEAST_SCALE:
            wrong = ["the gradient overflows fp16 at every scale"]
        return f"epoch {state.epoch + 1} ({', '.join(wrong)}, update {state.step})" if wrong else ""

    def _are_weights_finite(self) -> bool:
        """Whether every weight and running statistic is finite: one norm over all of them, read once."""
        values = [value.detach() for holder, name in self._finite if (value := holder.get(name)) is not None]
        return isfinite(torch.stack(torch._foreach_norm(values)).sum().item()) if values else True


_LEAST_SCALE = 2.0**-40  # of the fp16 scaler, which begins at 2**16 and halves at every overflow


def _places(networks: nn.Module) -> list[tuple[Any, str]]:
    """Where the floating-point tensors of a network's state are: a module's own mapping, and the name there.

    A module may put another tensor in its place at any time, which is then found there without another `state_dict`.
    """
    found: dict[int, tuple[Any, str]] = {}
    for module in networks.modules():
        kept: list[tuple[Any, str]] = [(module._parameters, name) for name in module._parameters]
        kept += [(module._buffers, name) for name in module._buffers if name not in module._non_persistent_buffers_set]
        found |= {id(holder[name]): (holder, name) for holder, name in kept if holder[name] is not None}
    return [(holder, name) for holder, name in found.values() if holder[name].is_floating_point()]
