"""Settings of a learning-rate range test, checked without importing torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dlexp.errors import ConfigError, Problem

_MIN_STEPS = 20
_LOSSES = ("train", "val")


@dataclass(frozen=True)
class SweepSettings:
    """Settings of a learning-rate range test.

    Attributes:
        min_lr: First learning rate, > 0.
        max_lr: Last learning rate, at least 10 min_lr.
        steps: Number of updates from min_lr to max_lr, >= 20.
        seeds: Number of repetitions with different weights, order and dropout.
        loss: `train`: of each batch; `val`: of fixed validation samples after each update.
        val_batches: Number of validation batches of data.eval_batch_size.
    """

    min_lr: float = 1e-7
    max_lr: float = 10.0
    steps: int = 100
    seeds: int = 1
    loss: str = "train"
    val_batches: int = 4

    def check(self) -> None:
        """Raise ConfigError with all problems."""
        problems = list(self._problems())
        if problems:
            raise ConfigError(problems)

    def _problems(self) -> Iterator[Problem]:
        for name, value in (("--min-lr", self.min_lr), ("--max-lr", self.max_lr)):
            if not (math.isfinite(value) and value > 0):
                yield Problem(name, f"{value:g}", "must be a number > 0", code="out-of-range")
        if 0 < self.max_lr < 10 * self.min_lr:
            rule = f"must be at least ten times --min-lr={self.min_lr:g}"
            yield Problem(
                "--max-lr", f"{self.max_lr:g}", rule, f"Use --max-lr {1000 * self.min_lr:g}", code="out-of-range"
            )
        if self.steps < _MIN_STEPS:
            rule = f"must be a whole number >= {_MIN_STEPS}"
            yield Problem("--steps", str(self.steps), rule, "Small data sets are repeated.", code="out-of-range")
        if self.loss not in _LOSSES:
            yield Problem("--loss", self.loss, f"must be one of {', '.join(_LOSSES)}", code="unknown-value")
        for name, count in (("--seeds", self.seeds), ("--val-batches", self.val_batches)):
            if count < 1:
                yield Problem(name, str(count), "must be a whole number >= 1", code="out-of-range")
