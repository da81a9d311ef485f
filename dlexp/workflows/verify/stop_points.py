"""The positions where a verification stops a run, by a stop request or as if killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.runtime.signals import StopRequest


@dataclass(frozen=True)
class Place:
    """A position where a run is stopped.

    Attributes:
        after: The last update or epoch before the stop.
        questions: How many times the loop checks the stop request from there on until it is true.
        kill: Whether to leave the loop without saving its position, as `kill -9` does.
    """

    name: str
    unit: Literal["update", "epoch"]
    after: int
    questions: int = 1
    kill: bool = False


class Killed(BaseException):
    """Leaves the training loop without saving its position, as a kill does."""


class Tripwire(StopRequest):
    """A stop request that becomes true at a position, or after a real signal."""

    def __init__(self, place: Place | None) -> None:
        super().__init__()
        self.tripped = False
        self._place, self._left = place, 0

    def __bool__(self) -> bool:
        if self._left:
            self._left -= 1
            self.tripped = self.tripped or not self._left
        return self.tripped or super().__bool__()

    @property
    def name(self) -> str:
        """The source of the stop request."""
        return super().name or "a stop for the verification"

    @property
    def exit_code(self) -> int:
        """The exit code of SIGTERM."""
        return super().exit_code or 75

    @property
    def has_received_signal(self) -> bool:
        """Return whether a real signal was received."""
        return super().__bool__()

    def pass_by(self, record: StepRecord | EpochRecord) -> None:
        """Trip, or start counting, when the position is reached. Raises Killed at the position of a kill."""
        place = self._place
        unit, number = ("update", record.step) if isinstance(record, StepRecord) else ("epoch", record.epoch)
        if place is None or (unit, number) != (place.unit, place.after):
            return
        if place.kill:
            self.tripped = True
            raise Killed
        self._left = place.questions


def places_of(
    edges: Sequence[int], val_batches: int, accumulate: int, at: Sequence[int]
) -> tuple[list[Place], list[str]]:
    """(one position of each kind, or after each update of `at`; the kinds that this run is too short for).

    Args:
        edges: The last update of each epoch of the uninterrupted run.
        val_batches: Number of validation batches.
        accumulate: Batches per update.
        at: Updates to stop after, () for one position of each kind.
    """
    if at:
        return [Place(f"update {step}", "update", step) for step in at], []
    number = min(2, len(edges))  # the second epoch, when momentum, schedule and best epoch are initialized
    before, last = (0, *edges)[number - 1], edges[number - 1]
    middle = (before + last) // 2
    # The loop checks the stop request once after an update, and once before each validation batch.
    in_validation = 1 + (val_batches + 1) // 2
    places = [
        Place("last update of an epoch", "update", last),
        Place("in validation", "update", last, questions=max(in_validation, 2)),
    ]
    left_out = []
    if middle > before:
        places.insert(0, Place("mid-epoch", "update", middle))
        places.append(Place("killed in mid-epoch", "update", middle, kill=True))
        if accumulate > 1:  # a stop during gradient accumulation takes effect after the update
            places.insert(1, Place("in accumulation", "update", middle, questions=2))
    else:
        left_out.append("mid-epoch: an epoch has only one update")
    if len(edges) > 1:
        places.append(Place("epoch edge", "epoch", number - 1))
    else:
        left_out.append("epoch edge: the run has only one epoch")
    return places, left_out
