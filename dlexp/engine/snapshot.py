"""The part of the state that a phase of an update changes before its optimizer steps, kept to be restored on failure.

Weights and optimizer state do not change before `optimizer.step()`, so they need no copy. Running statistics do, in
the forward pass; one copy of them a phase takes microseconds (2.6 of the 2526 of an MLP's update on one core).
"""

from __future__ import annotations

import random
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.engine.state import TrainState
from dlexp.runtime.seed import global_state


class Snapshot(Protocol):
    """What an update reports to while it runs."""

    def begin_update(self, state: TrainState) -> None: ...

    def begin_phase(self, phase: str, repetition: int = 0) -> None: ...

    def begin_stage(self, stage: str) -> None: ...

    def add_loss(self, value: Tensor) -> None: ...


class NoSnapshot:
    """The null object: nothing is kept, and nothing can be restored."""

    def begin_update(self, state: TrainState) -> None:
        """Do nothing."""

    def begin_phase(self, phase: str, repetition: int = 0) -> None:
        """Do nothing."""

    def begin_stage(self, stage: str) -> None:
        """Do nothing."""

    def add_loss(self, value: Tensor) -> None:
        """Do nothing."""


class StepSnapshot:
    """The state at the beginning of a phase.

    Args:
        networks: Networks whose buffers are kept.
        keeps_generators: Whether Python's and NumPy's generators are kept as well. Copying them costs more than
            everything else here, and only a user's own components draw from them.

    Attributes:
        phase: The phase that runs, or ran last.
        repetition: Number of its run within the update, from 0.
        stage: How far it got: loss, gradient or update.
        losses: Shape () each: the loss of every micro batch so far, in this phase.
    """

    def __init__(self, networks: nn.ModuleDict, keeps_generators: bool = False) -> None:
        self._buffers = list(networks.buffers())
        self._copies = [torch.empty_like(buffer) for buffer in self._buffers]
        self._keeps_generators = keeps_generators
        self._generators: Any = None
        self._sums: Any = ({}, 0)
        self.phase, self.repetition, self.stage = "", 0, "loss"
        self.losses: list[Tensor] = []

    def begin_update(self, state: TrainState) -> None:
        """Keep the sums of the epoch as they are if this update is skipped."""
        self._sums = state.sums.mark()

    def begin_phase(self, phase: str, repetition: int = 0) -> None:
        """Keep the buffers, and the generators if wanted."""
        self.phase, self.repetition, self.stage, self.losses = phase, repetition, "loss", []
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)
        if self._keeps_generators:
            self._generators = (random.getstate(), np.random.get_state(legacy=True))

    def begin_stage(self, stage: str) -> None:
        """Note how far the phase is."""
        self.stage = stage

    def add_loss(self, value: Tensor) -> None:
        """Note the loss of a micro batch, shape ()."""
        self.losses.append(value)

    def restore(self, state: TrainState) -> None:
        """Put back what the phase has changed so far; of an update of several phases the earlier ones stay made."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._copies)
        state.sums.back_to(self._sums)

    def generators(self) -> dict[str, Any]:
        """Python's and NumPy's generators at the beginning of the phase, as plain values."""
        return global_state(self._generators)
