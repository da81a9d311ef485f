"""Where a verification breaks a run off, and how: as a signal would, or as a kill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.runtime.signals import StopRequest


@dataclass(frozen=True)
class Place:
    """Where a run is broken off.

    after      the update, or the end of the epoch, whose record comes last
    questions  how often the loop asks whether to stop, from there on, until the answer is yes
    kill       leave the loop without saving its position, as `kill -9` would
    """

    name: str
    unit: Literal["update", "epoch"]
    after: int
    questions: int = 1
    kill: bool = False


class Killed(BaseException):
    """Leaves the loop as a kill does: its position is not saved on the way out, only what it had handed over before."""


class Tripwire(StopRequest):
    """A stop request that comes at a place; real signals are heard too."""

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
        """Who asked."""
        return super().name or "a stop for the verification"

    @property
    def exit_code(self) -> int:
        """As for SIGTERM."""
        return super().exit_code or 75

    @property
    def heard_signal(self) -> bool:
        """Whether a real signal came."""
        return super().__bool__()

    def pass_by(self, record: StepRecord | EpochRecord) -> None:
        """Trip, or arm the wire, when the place is reached. Raises Killed at a place of a kill."""
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
    """(one place of each kind, or after each update of `at`; what this run is too short for, and why).

    edges  the last update of each epoch of the uninterrupted run
    """
    if at:
        return [Place(f"update {step}", "update", step) for step in at], []
    number = min(2, len(edges))  # the second epoch: by then momentum, schedule and best-so-far hold something
    before, last = (0, *edges)[number - 1], edges[number - 1]
    middle = (before + last) // 2
    # The loop asks once after an update, and once before each validation batch.
    in_validation = 1 + (val_batches + 1) // 2
    places = [
        Place("last update of an epoch", "update", last),
        Place("in validation", "update", last, questions=max(in_validation, 2)),
    ]
    left_out = []
    if middle > before:
        places.insert(0, Place("mid-epoch", "update", middle))
        places.append(Place("killed in mid-epoch", "update", middle, kill=True))
        if accumulate > 1:  # a stop that comes while gradients are added up is noticed after their update
            places.insert(1, Place("in accumulation", "update", middle, questions=2))
    else:
        left_out.append("mid-epoch: an epoch has a single update")
    if len(edges) > 1:
        places.append(Place("epoch edge", "epoch", number - 1))
    else:
        left_out.append("epoch edge: the run has a single epoch")
    return places, left_out
