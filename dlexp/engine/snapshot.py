"""What a phase of an update changes before its optimizer steps, kept so that a failure can be undone and told.

Weights and optimizer state do not change before `optimizer.step()`, so they need no copy. Running statistics do, in
the forward pass; one copy of them a phase takes microseconds (2.6 of the 2526 of an MLP's update on one core).
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.engine.state import TrainState
from dlexp.runtime.seed import global_state


class Before:
    """The state of things when a phase began.

    keep_generators  whether something in a step may draw from Python's or NumPy's generators; copying them costs more
                     than everything else here, and nothing of dlexp's own draws from them

    phase    the phase that runs, or ran last
    stage    how far it got: loss, gradient or update
    losses   shape () each: the loss of every batch of the window so far, in this phase
    """

    def __init__(self, networks: nn.ModuleDict, keep_generators: bool = False) -> None:
        self._buffers = list(networks.buffers())
        self._copies = [torch.empty_like(buffer) for buffer in self._buffers]
        self._keep_generators = keep_generators
        self._generators: Any = None
        self._sums: tuple[dict[str, Tensor | float], int] = ({}, 0)
        self.phase, self.stage = "", "loss"
        self.losses: list[Tensor] = []

    def window_begins(self, state: TrainState) -> None:
        """A new update: the sums of the epoch are as they will be if it is left out."""
        self._sums = state.sums.mark()

    def phase_begins(self, phase: str) -> None:
        """A phase of it."""
        self.phase, self.stage, self.losses = phase, "loss", []
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)
        if self._keep_generators:
            self._generators = (random.getstate(), np.random.get_state(legacy=True))

    def undo(self, state: TrainState) -> None:
        """Put back what the phase has changed so far; of an update of several phases the earlier ones stay made."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._copies)
        state.sums.back_to(self._sums)

    def generators(self) -> dict[str, Any]:
        """Python's and NumPy's generators as they were, as plain values."""
        return global_state(self._generators)
