"""How much is measured, checked without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlexp.errors import ConfigError

WARM_UP = 3  # updates: allocators, caches and the state of optimizers are then in place


@dataclass(frozen=True)
class ProfileRequest:
    """What was typed, and where the answer goes.

    steps  updates of each measurement, None for as many as some seconds hold
    """

    words: tuple[str, ...]
    command: str = ""
    run_dir: Path | None = None
    trusted: tuple[str, ...] = ()
    steps: int | None = None

    def check(self) -> None:
        """Raise ConfigError for a number of updates that is none."""
        if self.steps is not None and self.steps < 1:
            raise ConfigError.one(
                "--steps", self.steps, "must be a whole number >= 1", "20 are enough for most", code="out-of-range"
            )
