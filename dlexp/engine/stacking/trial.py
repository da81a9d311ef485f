"""Whether runs can be trained as a stack: what is known of them, and a trial on their first batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.engine.loop import Update
from dlexp.engine.stacking.dropout import Draw, RecordedDraws
from dlexp.engine.step import phase_seed
from dlexp.errors import message_of
from dlexp.networks.modes import kept_buffers
from dlexp.networks.outside_torch import computes_in_numpy
from dlexp.runtime.seed import kept_randomness, seed_step
from dlexp.types import Batch, Sequences

_CALLS = "the task calls the network in another way than once on the inputs of the batch"
CLOSE = 1e-3  # relative difference of a loss in the stack from that of the run alone; the usual one is about 1e-7


@dataclass
class AloneForward:
    """The forward pass of a run alone on a batch, which changes nothing.

    loss     its loss
    draws    the masks that its network draws
    problem  why it cannot be stacked, "" where it can
    """

    loss: float
    draws: list[Draw] = field(default_factory=list)
    problem: str = ""


def known_problem(update: Update) -> str:
    """What makes a run one that is trained alone, as far as it shows without training; "" for nothing."""
    task, state, rules = update.task, update.state, update.rules
    phases = list(task.phases.values())
    inputs = update.micro_batches[0].inputs
    if len(phases) > 1 or phases[0].every > 1 or phases[0].repeat > 1 or phases[0].networks != ("model",):
        return "its task has several phases, or one that does not update the model in every update"
    if list(state.networks) != ["model"]:
        own = ", ".join(name for name in state.networks if name != "model")
        return f"its task trains networks beside the model ({own})"
    if computes_in_numpy(state.networks):
        return "its network computes in NumPy, which does not see several networks as one"
    if any(traits.needs_closure for traits in state.traits.values()):
        return "its optimizer computes the gradient several times in an update"
    if state.scaler.is_enabled():
        return "fp16 scales the loss by the gradients of one run"
    if any(begins is not None for begins in state.freezing.until.values()):
        return "its layers are unfrozen in the course of the run"
    if rules.graphs is not None:
        return "trainer.compile=step makes its updates as graphs of its own"
    if rules.group.size > 1:
        return "several processes train it"
    if isinstance(inputs, Sequences):
        return "its inputs are sequences, whose lengths differ between the batches of the members"
    return ""


def recorded_draws(update: Update, batch: Batch) -> AloneForward:
    """Run the loss of a member on a batch as it would be alone, and take back what that changed."""
    network, phase = update.state.networks["model"], next(iter(update.task.phases))
    watch = _Watch(network, batch)
    before = _generators()
    with kept_randomness(), kept_buffers(network), torch.no_grad(), update.rules.precision.autocast():
        seed_step(phase_seed(update.state, update.rules, (phase, 0)))
        loss = update.task.loss(phase, {"model": watch}, batch).value
        problem = watch.problem()
        if not problem and not torch.equal(watch.after, torch.get_rng_state()):
            problem = "its loss draws random numbers"
        if _generators() != before:
            problem = "it draws from Python's or NumPy's generators"
    if not problem and watch.record.draws and loss.device.type != "cpu":
        problem = "dropout on a GPU draws other numbers for several networks than for one"
    return AloneForward(float(loss), watch.record.draws, problem)


def problem_of_trial(updates: Sequence[Update], losses: Sequence[Tensor | float]) -> str:
    """Why the losses of a stack are not those of its members alone; "" where they are."""
    for update, together in zip(updates, losses, strict=True):
        alone, value = recorded_draws(update, update.micro_batches[0]), float(together)
        if alone.problem:
            return alone.problem
        same = abs(value - alone.loss) <= CLOSE * max(abs(alone.loss), 1.0)
        if not same and not (value != value and alone.loss != alone.loss):
            return f"its loss in a stack is {value:.6g}, and {alone.loss:.6g} alone"
    return ""


def reason_of_error(error: Exception) -> str:
    """An exception of a trial as a reason."""
    message = message_of(error).splitlines()[0]
    if _Watch.__name__ in message:  # the task asks for more than a call
        return _CALLS
    if "vmap" in message and "random" in message:
        return "its network draws random numbers in another way than by dropout"
    return f"its network cannot be stacked: {message}"


def _generators() -> tuple[Any, ...]:
    """The states of Python's and NumPy's generators."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), name, np.asarray(keys).tobytes(), *rest


class _Watch(nn.Module):
    """The network of a member, watched in the one call that a stack can answer."""

    def __init__(self, network: nn.Module, batch: Batch) -> None:
        super().__init__()
        self._call: Callable[..., Any] = network.__call__  # not a submodule: its modes are its own
        self._batch, self._calls, self._is_other = batch, 0, False
        self.record, self.after = RecordedDraws(), torch.empty(0)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network and note what it draws."""
        self._calls += 1
        self._is_other |= bool(args) and args[0] is not self._batch.inputs
        with self.record:
            found = self._call(*args, **kwargs)
        self.after = torch.get_rng_state()
        return found

    def problem(self) -> str:
        """Why a stack cannot answer the calls, "" where it can."""
        return _CALLS if self._calls != 1 or self._is_other else ""
