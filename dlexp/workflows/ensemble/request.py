"""What a call asks of an ensemble, a soup or views, checked without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.errors import ConfigError, Problem
from dlexp.metrics.bootstrap import Resampling
from dlexp.text.nearest import nearest_name

WEIGHTS = ("equal", "greedy", "stacked")
SOUPS = ("uniform", "greedy")
_USUAL = Resampling()


def _silent(text: str) -> None:
    del text


@dataclass(frozen=True)
class CombineRequest:
    """Options of an ensemble, a soup, or views.

    Attributes:
        split: Where it is measured.
        checkpoint: best or last, of each run.
        weights: equal, greedy or stacked; greedy and stacked ones are chosen on the validation split.
        vote: Whether each member has a vote for a class.
        calibrate: Whether probabilities use the temperature that is fitted on the validation split.
        snapshots: Whether the snapshots of each run are the members.
        soup: uniform or greedy for an average of weights, "" for an ensemble.
        tta: Views of test-time augmentation, "" for none.
        out: Directory of the result, None for a new one.
        changes: Overrides of the configuration of each run, such as trainer.device.
        trusted: Trusted packages.
        allow_changes: Whether changed data and edited configurations are allowed.
        resampling: Of the intervals.
        command: The command line, for command.txt.
        say: Receives a line on what is being done.
    """

    split: str = "test"
    checkpoint: str = "best"
    weights: str = "equal"
    vote: bool = False
    calibrate: bool = False
    snapshots: bool = False
    soup: str = ""
    tta: str = ""
    out: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False
    resampling: Resampling = _USUAL
    command: str = "dlexp evaluate"
    say: Callable[[str], None] = _silent

    def check(self) -> None:
        """Raise ConfigError with all words that mean nothing or cannot be combined."""
        problems = [*_unknown("--weights", self.weights, WEIGHTS)]
        if self.soup:
            problems += _unknown("--soup", self.soup, SOUPS)
            apart = {
                "--weights": self.weights != "equal",
                "--vote": self.vote,
                "--calibrate": self.calibrate,
                "--tta": bool(self.tta),
            }
            rule = "is for an ensemble; a soup is one network"
            problems += [
                Problem(word, "", rule, "Remove it, or use --ensemble in place of --soup", code="cannot-combine")
                for word, is_given in apart.items()
                if is_given
            ]
        if self.vote and self.weights == "stacked":
            rule = "weighs probabilities, and a vote has none"
            problems.append(Problem("--weights", "stacked", rule, "Use --weights greedy", code="cannot-combine"))
        if self.vote and self.calibrate:
            rule = "fits a temperature to probabilities, and a vote has none"
            problems.append(Problem("--calibrate", "", rule, "Remove --calibrate or --vote.", code="cannot-combine"))
        if problems:
            raise ConfigError(problems)


def _unknown(word: str, given: str, known: tuple[str, ...]) -> list[Problem]:
    if given in known:
        return []
    near = nearest_name(given, known)
    remedy = f"Did you mean {near}?" if near else ""
    return [Problem(word, given, f"must be one of {', '.join(known)}", remedy, code="unknown-value")]
