"""How long a study has been worked on, whoever did it and however often it was started."""

from __future__ import annotations

import time

import optuna

from dlexp.tune.storage.worker_id import me

_ACTIVE = "active:"  # prefix of an attribute of the study for each start: [begin, last sign of life], in Unix seconds


class Usage:
    """Wall-clock time in which at least one process worked on the study; processes side by side count once."""

    def __init__(self, study: optuna.Study) -> None:
        """Count what others did; `begin` adds this process."""
        self._study, self._key = study, ""
        self._begin: float | None = None
        self._others: list[tuple[float, float]] = []
        self.record()

    def begin(self) -> None:
        """Count from now on."""
        self._begin = time.time()
        self._key = f"{_ACTIVE}{me()}:{self._begin:.3f}"
        self.record()

    def record(self) -> None:
        """Write down that this process was at work until now, and read what the others did."""
        if self._begin is not None:
            self._study.set_user_attr(self._key, [self._begin, time.time()])
        attributes = self._study.user_attrs.items()
        self._others = [tuple(v) for k, v in attributes if k.startswith(_ACTIVE) and k != self._key]

    def seconds(self) -> float:
        """The time so far."""
        total, end = 0.0, 0.0
        mine = [(self._begin, time.time())] if self._begin is not None else []
        for begin, last in sorted([*self._others, *mine]):
            total += max(0.0, last - max(begin, end))
            end = max(end, last)
        return total
