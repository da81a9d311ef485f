"""Total wall-clock time of a study over all processes and starts."""

from __future__ import annotations

import time

import optuna

from dlexp.tune.storage.worker_id import own_worker_id

_ACTIVE = "active:"  # prefix of a study attribute per start: [begin, last heartbeat], in Unix seconds


class Usage:
    """Wall-clock time in which at least one process ran the study; parallel processes count once."""

    def __init__(self, study: optuna.Study) -> None:
        """Read the times of other processes; `begin` adds this process."""
        self._study, self._key = study, ""
        self._begin: float | None = None
        self._others: list[tuple[float, float]] = []
        self.record()

    def begin(self) -> None:
        """Start counting."""
        self._begin = time.time()
        self._key = f"{_ACTIVE}{own_worker_id()}:{self._begin:.3f}"
        self.record()

    def record(self) -> None:
        """Record that this process is running, and read the times of the others."""
        if self._begin is not None:
            self._study.set_user_attr(self._key, [self._begin, time.time()])
        attributes = self._study.user_attrs.items()
        self._others = [tuple(v) for k, v in attributes if k.startswith(_ACTIVE) and k != self._key]

    def seconds(self) -> float:
        """The total time so far."""
        total, end = 0.0, 0.0
        mine = [(self._begin, time.time())] if self._begin is not None else []
        for begin, last in sorted([*self._others, *mine]):
            total += max(0.0, last - max(begin, end))
            end = max(end, last)
        return total
