"""Settings of `dlexp data preview`, checked without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dlexp.errors import ConfigError, Problem

_MOST = 400  # samples of a picture
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class PreviewRequest:
    """The samples to show. `epoch` counts from 1."""

    split: str
    count: int
    epoch: int
    path: Path

    def check(self) -> None:
        """Raise ConfigError with all problems."""
        problems = []
        if self.split not in _SPLITS:
            near = get_close_matches(self.split, _SPLITS, n=1)
            remedy = f"Did you mean {near[0]}?" if near else ""
            problems.append(
                Problem("--split", self.split, f"must be one of {', '.join(_SPLITS)}", remedy, code="unknown-value")
            )
        if not 1 <= self.count <= _MOST:
            problems.append(
                Problem("--count", str(self.count), f"must be a whole number from 1 to {_MOST}", code="out-of-range")
            )
        if self.epoch < 1:
            problems.append(Problem("--epoch", str(self.epoch), "must be a whole number >= 1", code="out-of-range"))
        if self.path.suffix != ".png":
            problems.append(
                Problem(
                    "--out",
                    str(self.path),
                    "must end with .png",
                    "Use a name such as preview.png.",
                    code="invalid-value",
                )
            )
        if problems:
            raise ConfigError(problems)
