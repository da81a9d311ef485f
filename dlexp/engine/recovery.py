"""What becomes of an update whose loss or gradient is not finite, or that raises: stop, skip or roll back, and tell.

On a CPU every loss and gradient is looked at before it is used. On a GPU that would be a wait in every step, so sums
and weights are looked at when an epoch ends and before each save; if something is wrong there, the stretch since the
last look is run again with every step looked at, and so the step that did it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.engine.snapshot import Before
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules, abandon_update, phase_seed, skip_step, train_step
from dlexp.errors import Diverged, OutOfMemory
from dlexp.runtime.out_of_memory import out_of_memory
from dlexp.runtime.tensors import snapshot
from dlexp.tasks.base import Task
from dlexp.types import Batch


@dataclass(frozen=True)
class NonfinitePolicy:
    """What to do (stop, skip or rollback), and how often: updates skipped in a row, or rollbacks of one epoch."""

    action: str = "stop"
    limit: int = 5


@dataclass(frozen=True)
class Trouble:
    """Something was not finite and training goes on.

    text     what happened and what was done
    rewound  whether the state is that of an earlier moment, `epoch` epochs and `step` updates from the beginning
    """

    text: str
    rewound: bool
    epoch: int
    step: int


@dataclass(frozen=True)
class Failure:
    """A step that ended the run, with the state from before its phase.

    window      the batches of the update
    losses      those of the window that were computed, in order
    stage       loss, gradient or update: where it failed; in the last, weights may have changed already
    torch_seed  what torch's generators were seeded with when the phase began
    generators  Python's and NumPy's at that moment
    """

    error: Exception
    phase: str
    stage: str
    window: tuple[Batch, ...]
    losses: tuple[float, ...]
    learning_rate: float
    epoch: int
    batch: int
    step: int
    state: dict[str, Any]
    torch_seed: int
    generators: dict[str, Any]


@dataclass(frozen=True)
class Watch:
    """How a run is watched over.

    keep_generators  whether components may draw from Python's or NumPy's generators
    on_trouble       told when training goes on after something
    on_failure       told when it does not; returns a line for the person
    """

    policy: NonfinitePolicy = NonfinitePolicy()
    keep_generators: bool = False
    on_trouble: Callable[[Trouble], None] = lambda trouble: None
    on_failure: Callable[[Failure], str] | None = None


class Rewound(Exception):
    """The state is that of an earlier moment of the epoch, and the epoch goes on from there."""


class Guard:
    """Makes the updates of a run and decides what becomes of those that fail."""

    def __init__(self, task: Task, rules: StepRules, state: TrainState, watch: Watch) -> None:
        self._task, self._rules, self._state, self._watch = task, rules, state, watch
        self._strict = replace(rules, check_at_once=True)
        self._all_looked_at = rules.check_at_once
        self._anchor = state.anchor
        self._before = Before(state.networks, watch.keep_generators)
        # What is infinite from the beginning, such as the mask of an attention, is meant to be.
        self._watched = {name for name, value in _numbers(state.networks) if bool(torch.isfinite(value).all())}
        if self._anchor is None:
            self._set_anchor()

    def epoch_begins(self) -> None:
        """Before the updates of an epoch, or of the rest of one: buffers are found anew, a module may replace them."""
        self._before = Before(self._state.networks, self._watch.keep_generators)

    def epoch_is_over(self) -> None:
        """After an epoch whose numbers are in order: this is where the next one would be begun anew."""
        self._all_looked_at = self._rules.check_at_once
        self._set_anchor()

    def update(self, window: Sequence[Batch]) -> None:
        """One update, or what the policy makes of its failure.

        Raises Diverged when it stops the run, Rewound when the epoch goes on from an earlier place, OutOfMemory.
        """
        rules = self._strict if self._all_looked_at else self._rules
        try:
            train_step(self._task, self._state, window, rules, self._before)
        except Diverged as error:
            self._decide(error, window)
        except Exception as error:
            self._tell(error, window, error)
            told = self._out_of_memory(error, window)
            if told is None:
                raise
            raise told from error
        else:
            self._state.troubles.in_a_row = 0

    def check(self, means: dict[str, float]) -> None:
        """Look at the means of the epoch and at every weight. Raises Diverged or Rewound as `update` does."""
        what = self._wrong(means)
        if not what:
            return
        if not self._all_looked_at and self._anchor is not None:
            self._all_looked_at = True
            text = f"{what}; running the epoch again from its last good state, to find the step that did it"
            self._rewind(text, self._anchor)
        remedy = "the last checkpoint is from before it; try a smaller optim.lr or trainer.clip_norm=1.0"
        self._roll_back_or_raise(Diverged(f"training diverged in {what}", remedy))

    def _decide(self, error: Diverged, window: Sequence[Batch]) -> None:
        policy, troubles, first = self._watch.policy, self._state.troubles, error
        if policy.action == "skip" and troubles.in_a_row < policy.limit:
            self._before.undo(self._state)
            skip_step(self._task, self._state, window, self._before.phase)
            troubles.skipped += 1
            troubles.in_a_row += 1
            self._say(f"{error.what}: update skipped ({troubles.in_a_row} in a row of at most {policy.limit})", False)
            return
        if policy.action == "skip":
            rule = (
                f"{policy.limit} updates in a row were skipped before it, the most that trainer.nonfinite_limit allows"
            )
            error = Diverged(f"{error.what}; {rule}", error.remedy)
        try:
            abandon_update(self._task, self._state, self._before.phase)
            self._roll_back_or_raise(error)
        except Diverged as final:
            self._tell(final, window, first)
            raise

    def _roll_back_or_raise(self, error: Diverged) -> None:
        policy, troubles = self._watch.policy, self._state.troubles
        if policy.action != "rollback":
            raise error
        if troubles.attempt >= policy.limit:
            rule = f"this epoch was begun anew {policy.limit} times, the most that trainer.nonfinite_limit allows"
            raise Diverged(f"{error.what}; {rule}", error.remedy)
        if self._anchor is None or self._anchor["position"]["batch"]:
            rule = "the start of this epoch was not kept, since trainer.on_nonfinite=rollback was not set then"
            raise Diverged(f"{error.what}; {rule}", error.remedy)
        troubles.rollbacks += 1
        troubles.attempt += 1
        number = f"{troubles.attempt} of at most {policy.limit}"
        self._rewind(f"{error.what}: rolled back to the start of the epoch, in another order ({number})", self._anchor)

    def _rewind(self, text: str, anchor: dict[str, Any]) -> None:
        """Go back to `anchor`; what was counted stays counted. Raises Rewound."""
        troubles, kept = self._state.troubles, self._state.anchor
        self._state.load_state_dict(snapshot(anchor), allow_nonfinite=True)
        self._state.troubles, self._state.anchor = troubles, kept
        self._say(text, True)
        raise Rewound

    def _say(self, text: str, rewound: bool) -> None:
        self._watch.on_trouble(Trouble(text, rewound, self._state.epoch, self._state.step))

    def _set_anchor(self) -> None:
        """Keep the present state where somebody may want it back, in the memory of the CPU."""
        rolls_back = self._watch.policy.action == "rollback"
        if rolls_back or not self._rules.check_at_once:
            self._anchor = snapshot(self._state.state_dict())
        self._state.anchor = self._anchor if rolls_back and not self._state.batch else None

    def _tell(self, error: Exception, window: Sequence[Batch], cause: Exception) -> None:
        """Hand the failure to whoever keeps it; whatever goes wrong there, `error` is what the person sees.

        cause  what the step itself raised
        """
        if self._watch.on_failure is None:
            return
        try:
            error.add_note(self._watch.on_failure(self._failure(cause, window)))
        except Exception as second:
            error.add_note(f"the crash capsule could not be written: {str(second) or type(second).__name__}")

    def _failure(self, error: Exception, window: Sequence[Batch]) -> Failure:
        state, before = self._state, self._before
        before.undo(state)
        return Failure(
            error=error,
            phase=before.phase,
            stage=before.stage,
            window=tuple(window),
            losses=tuple(float(loss) for loss in before.losses),
            learning_rate=state.learning_rate,
            epoch=state.epoch,
            batch=state.batch,
            step=state.step,
            state={**state.state_dict(), "anchor": None},
            torch_seed=phase_seed(state, self._rules, before.phase),
            generators=before.generators(),
        )

    def _out_of_memory(self, error: Exception, window: Sequence[Batch]) -> OutOfMemory | None:
        size, number = len(window[0]), len(window)
        remedy = "a smaller model"
        if size > 1:
            remedy = f"data.batch_size={size // 2} trainer.accumulate={2 * number} (the same samples in an update)"
        batches = f"{number} batches of {size} samples" if number > 1 else f"a batch of {size} samples"
        device = next(self._state.networks.parameters()).device
        return out_of_memory(error, f"an update on {batches}", device, remedy)

    def _wrong(self, means: dict[str, float]) -> str:
        """Where and what is not finite, "" when everything is."""
        state = self._state
        wrong = [f"{name}={value}" for name, value in means.items() if value - value != 0]
        if not wrong and not self._weights_finite():
            wrong = ["a weight is not finite"]
        if not wrong and state.scaler.is_enabled() and state.scaler.get_scale() < _LEAST_SCALE:
            wrong = ["the gradient overflows fp16 at every scale"]
        return f"epoch {state.epoch + 1} ({', '.join(wrong)}, update {state.step})" if wrong else ""

    def _weights_finite(self) -> bool:
        """Whether every weight and running statistic is finite: one norm over all of them, read once."""
        numbers = [value for name, value in _numbers(self._state.networks) if name in self._watched]
        return bool(torch.isfinite(torch.stack(torch._foreach_norm(numbers)).sum())) if numbers else True


_LEAST_SCALE = 2.0**-40  # of the fp16 scaler, which begins at 2**16 and halves at every overflow


def _numbers(networks: nn.Module) -> list[tuple[str, Tensor]]:
    """Every floating-point tensor of a network's state."""
    return [(name, value.detach()) for name, value in networks.state_dict().items() if value.is_floating_point()]
