"""A stack of runs: a network, a task and an optimizer like any other, whose updates are those of K runs.

Symbols: K members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.gradients import is_gradient_finite
from dlexp.engine.loop import Update
from dlexp.engine.stacking.dropout import Draw
from dlexp.engine.stacking.masks import MaskSource
from dlexp.engine.stacking.network import StackedNetwork
from dlexp.engine.stacking.signature import batch_signature
from dlexp.engine.stacking.task import StackedBatch, StackedTask
from dlexp.engine.stacking.trial import reason_of_error, recorded_draws
from dlexp.engine.state import EpochSums, TrainState
from dlexp.engine.step import StepRules, apply_rules, end_update, limit_weights, phase_seed, record_loss, train_step
from dlexp.errors import Diverged
from dlexp.optim.optimizers.adam import step_together
from dlexp.optim.schedules.base import Schedule
from dlexp.regularization.penalties import Penalty
from dlexp.types import Batch, Field


class RunStack:
    """The updates of K runs, made together; all else of each run is its own.

    Weights, optimizer and schedule of a member stay those of its own state, whose parameters become views of the stack.

    Args:
        updates: The next update of each member; see `signature.network_signature` for what they must have in common.
    """

    def __init__(self, updates: Sequence[Update]) -> None:
        first = updates[0]
        self.phase = next(iter(first.task.phases))
        self.network = StackedNetwork([update.state.networks["model"] for update in updates])
        self.task = StackedTask(self.phase, len(updates))
        self._optimizer = _MemberUpdates(self)
        device = self.network.weights[0].device
        self._masks = MaskSource(len(updates), device)
        self._without_check: dict[int, tuple[StepRules, StepRules]] = {}
        self._draws: dict[Any, list[list[Draw]]] = {}
        rules = first.rules
        self._rules = replace(
            rules,
            penalty=Penalty(0.0, 0.0),
            clip_norm=None,
            gradient_norm=None,
            noise=None,
            max_norm=None,
            zeros=None,
            check_every_step=False,
            graphs=None,
        )
        self._state = TrainState(
            nn.ModuleDict({"model": self.network}),
            {self.phase: self._optimizer},
            {self.phase: _NoSchedule()},
            first.state.scaler,
            BestSoFar(False),
        )
        self.updates: Sequence[Update] = ()
        self.problem = ""  # why it makes no more updates
        self._stepped: set[int] = set()

    def begin(self, updates: Sequence[Update]) -> None:
        """Take over the weights of the members; `updates` are those of `__init__`."""
        self.network.bind()
        for update in updates:
            for optimizer in update.state.optimizers.values():
                optimizer.load_state_dict(optimizer.state_dict())  # forgets the memory that weights had before

    def end(self) -> None:
        """Make no more updates."""
        self._masks.close()

    def make(self, updates: Sequence[Update]) -> list[bool]:
        """Make one update of each member; returns which were made.

        Those that are not, since their batches differ in shape from most or a loss or gradient is not finite, are as
        they were before: the run makes such an update alone, and reacts to its failure. So is every member whose
        optimizer has not stepped when the update raises; `problem` says why, and the members go on alone.
        """
        shapes = [batch_signature(update) for update in updates]
        usual, number = Counter(shapes).most_common(1)[0]
        if number < 2:
            return [False] * len(updates)
        present = updates[shapes.index(usual)]
        absent = {member for member, shape in enumerate(shapes) if shape != usual}
        # An absent member computes with batches of another and keeps nothing of it, so that no other is disturbed.
        given = [
            replace(update, micro_batches=present.micro_batches) if member in absent else update
            for member, update in enumerate(updates)
        ]
        try:
            self.compute(given, absent)
        except Exception as error:  # a network may raise anything, and a stack needs more memory than a run
            self.problem = reason_of_error(error)
        for member, update in enumerate(updates):
            if member in self._stepped:
                self._count(member, update)
            else:
                self.network.restore_buffers(member)
        return [member in self._stepped for member in range(len(updates))]

    def compute(self, updates: Sequence[Update], absent: Collection[int] = (), *, applies: bool = True) -> None:
        """Compute the gradient of each member but those that are absent, and let its optimizer step if `applies`."""
        self.updates, self._optimizer.applies = updates, applies
        self._state.sums, self._stepped = EpochSums(), set()
        self.task.begin(updates, absent)
        self.network.keep_buffers()
        for update in updates:
            update.state.sums.learning_rates = update.state.learning_rates
        train_step(self.task, self._state, self._batches(updates), self._rules)

    def take_gradients(self) -> None:
        """After the gradient of the stack: let each member make its own update with its own rules."""
        self.network.hand_out_gradients()
        turn, is_finite = (self.phase, 0), is_gradient_finite(self._optimizer)
        ready: list[tuple[int, StepRules, list[nn.Module], Optimizer]] = []
        for member, update in enumerate(self.updates):
            if member in self.task.failed:
                continue
            task, state, rules = update.task, update.state, update.rules
            if is_finite and rules.check_every_step:  # of all, so of each
                rules = self._unchecked(rules)
            try:
                updated, optimizer = apply_rules(task, state, update.micro_batches[0], rules, turn)
            except Diverged:
                self.task.failed.add(member)
                continue
            ready.append((member, rules, updated, optimizer))
        # Nobody's loss is scaled, so each optimizer steps by itself; see `trial.known_problem`.
        for position in step_together([optimizer for *_, optimizer in ready]):
            member, rules, updated, _ = ready[position]
            limit_weights(updated, rules)
            self._stepped.add(member)

    def _unchecked(self, rules: StepRules) -> StepRules:
        """The rules without a check, made once for each."""
        if id(rules) not in self._without_check:
            self._without_check[id(rules)] = (rules, replace(rules, check_every_step=False))
        return self._without_check[id(rules)][1]

    def _count(self, member: int, update: Update) -> None:
        """Record what the update of a member showed, and move its position."""
        for loss in self.task.losses[member]:
            record_loss(update.state, update.task, self.phase, loss.value, loss.parts, loss.weight)
        update.state.schedules[self.phase].step()
        end_update(update.state, update.micro_batches)

    def _batches(self, updates: Sequence[Update]) -> list[StackedBatch]:
        """The micro batches of the stack, with the masks that each member would draw alone."""
        turn, ahead = (self.phase, 0), len(updates[0].micro_batches)
        seeds, next_seeds = (
            [phase_seed(update.state, update.rules, turn, update.rules.group.rank, batches) for update in updates]
            for batches in (0, ahead)
        )
        parts = list(zip(*(update.micro_batches for update in updates), strict=True))
        masks = self._masks.masks(seeds, [self._draws_for(updates, batches) for batches in parts], next_seeds)
        found = []
        for batches, own in zip(parts, masks, strict=True):
            inputs = stacked_fields([batch.inputs for batch in batches])
            found.append(StackedBatch(inputs, None, batches[0].indices, None, batches, tuple(own)))
        return found

    def _draws_for(self, updates: Sequence[Update], batches: Sequence[Batch]) -> list[list[Draw]]:
        """What the members draw on batches of these shapes."""
        inputs = batches[0].inputs
        key = tuple(inputs.shape) if isinstance(inputs, Tensor) else len(batches[0])
        if key not in self._draws:
            self._draws[key] = [
                recorded_draws(update, batch).draws for update, batch in zip(updates, batches, strict=True)
            ]
        return self._draws[key]


def stacked_fields(fields: Sequence[Field]) -> Field:
    """The inputs of K batches (B, ...) as (K, B, ...)."""
    first = fields[0]
    if isinstance(first, Tensor):
        return torch.stack([field for field in fields if isinstance(field, Tensor)])
    named = [field for field in fields if isinstance(field, Mapping)]
    return {name: torch.stack([field[name] for field in named]) for name in named[0]}


class _MemberUpdates(Optimizer):
    """The optimizer of a stack: those of the members, each with its own rates and rules.

    applies  false where only the gradient is wanted
    """

    def __init__(self, stack: RunStack) -> None:
        super().__init__(list(stack.network.weights), {"lr": 0.0})
        self._stack, self.applies = stack, True

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Make the update of each member."""
        if self.applies:
            self._stack.take_gradients()

    step.hooked = True  # type: ignore[attr-defined]  # keeps torch from wrapping it in profiler marks


class _NoSchedule(Schedule):
    """The stack has no rate of its own."""

    @property
    def follows_a_metric(self) -> bool:
        return False

    def step(self) -> None:
        """Do nothing."""

    def epoch_end(self, metric: float) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """No value."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""
