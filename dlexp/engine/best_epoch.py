"""What acts on training from outside the step: which epoch is best, and when to stop. Small values, no callbacks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class BestSoFar:
    """The best value of the monitored metric, and how long ago it was.

    An epoch is better only when it is strictly better, by more than `min_delta`: a flat metric never counts as
    progress, and neither does NaN. The very best epoch is kept apart from the one that patience counts from, so that
    `min_delta` never throws a better model away.

    patience   epochs without improvement after which `exhausted` is true, or None for never
    """

    maximize: bool
    min_delta: float = 0.0
    patience: int | None = None
    value: float | None = None
    epoch: int = 0
    reference: float | None = None
    waited: int = 0

    def update(self, value: float, epoch: int) -> bool:
        """Take in the metric of a finished epoch (numbered from 1); True when it is the best so far."""
        if self._beats(value, self.reference, self.min_delta):
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        if not self._beats(value, self.value, 0.0):
            return False
        self.value, self.epoch = value, epoch
        return True

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What it has seen; what it was told is in the configuration."""
        return {"value": self.value, "epoch": self.epoch, "reference": self.reference, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.value, self.epoch = state["value"], state["epoch"]
        self.reference, self.waited = state["reference"], state["waited"]

    def _beats(self, value: float, other: float | None, margin: float) -> bool:
        if not math.isfinite(value):
            return False
        if other is None:
            return True
        return value > other + margin if self.maximize else value < other - margin
