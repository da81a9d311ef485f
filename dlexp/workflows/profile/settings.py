"""Settings of a profile, checked without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlexp.errors import ConfigError

WARM_UP = 3  # updates that initialize allocators, caches and the optimizer state


@dataclass(frozen=True)
class ProfileRequest:
    """The command and its output directory.

    Attributes:
        steps: Updates per measurement, None for as many as take a few seconds.
    """

    overrides: tuple[str, ...]
    command: str = ""
    run_dir: Path | None = None
    trusted: tuple[str, ...] = ()
    steps: int | None = None

    def check(self) -> None:
        """Raise ConfigError for an invalid number of updates."""
        if self.steps is not None and self.steps < 1:
            raise ConfigError.one(
                "--steps",
                self.steps,
                "must be a whole number >= 1",
                "20 is enough for most models.",
                code="out-of-range",
            )
