"""Schedules that end the learning before the training ends."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from statistics import median_high

from dlexp.diagnosis.case import Case

SPENT = 0.02  # of the largest learning rate, in the median epoch of the second half; 0.15 of a cosine


def rate_left(rates: Sequence[float]) -> float:
    """The learning rate in the median epoch of the second half by the largest, in [0, 1]; 1 if it is unknown."""
    later = [rate for rate in rates[len(rates) // 2 :] if isfinite(rate)]
    highest = max((rate for rate in rates if isfinite(rate)), default=0.0)
    return median_high(later) / highest if later and highest > 0 else 1.0


def other_schedule(case: Case) -> tuple[str, ...]:
    """The words of a schedule that lasts to the end; () for a run that has it."""
    return ("scheduler=cosine",) if case.facts.options.get("scheduler", "") not in ("cosine", "") else ()
