"""The distance between the steps of a series: inferred_frequency from its times, or told.

Symbols: N steps, K further steps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError

AUTO, ROWS = "auto", "rows"
Times = NDArray[Any]  # (N,) datetime64[us], or float64 numbers such as years

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_TEXT = re.compile(r"(\d*)\s*(s|min|h|d|b|w|mo|q|y)", re.IGNORECASE)
_MICRO = 1_000_000
_DAY = 86_400
_ROUNDING = 1e-6  # of a step: numbers such as 0.1 have no exact sum


@dataclass(frozen=True)
class Frequency:
    """The step of a series.

    unit  second, month, business_day; number, for times that are numbers; row, for times that are only read
    step  units of one step, above 0; a number of any size for `number`, else a whole one
    """

    unit: str
    step: float = 1

    @classmethod
    def of(cls, text: str) -> Frequency:
        """The step in a text such as 15min, 1h, 1d, 1b (business day), 1w, 1mo, 1q, 1y, rows, or a number.

        Raises DataError for another text.
        """
        if text == ROWS:
            return cls("row")
        found = _TEXT.fullmatch(text.strip())
        try:
            count = float(found[1] or 1) if found else float(text)
        except ValueError:
            count = 0.0
        if not 0 < count < np.inf:
            rule = (
                f"data.frequency={text} must be auto, rows, a number, or a step such as 15min, 1h, 1d, 1b, 1w, 1mo, 1y"
            )
            raise DataError(rule, remedy="Set data.frequency=auto", code="invalid-value")
        if found is None:
            return cls("number", count)
        word = found[2].lower()
        if word == "b":
            return cls("business_day", count)
        return cls("second", count * _SECONDS[word]) if word in _SECONDS else cls("month", count * _MONTHS[word])

    @property
    def season(self) -> int:
        """Steps of the season that such series usually have: a day, a week or a year; 1 for none."""
        if self.unit == "business_day":
            return max(1, round(5 / self.step))
        if self.unit == "month":
            return max(1, round(12 / self.step))
        if self.unit != "second":
            return 1
        if self.step < _DAY:
            return round(_DAY / self.step)
        return max(1, round((7 if self.step < 7 * _DAY else 365.25) * _DAY / self.step))

    def places(self, times: Times) -> NDArray[np.float64]:
        """(N,) steps from the first time, whole numbers where the times lie on the grid."""
        if self.unit == "row":
            return np.arange(len(times), dtype=np.float64)
        if self.unit == "number":
            places = (times - times[0]) / self.step
        elif self.unit == "second":
            places = (times - times[0]).astype(np.int64) / (_MICRO * self.step)
        elif self.unit == "business_day":
            days = times.astype("datetime64[D]")
            clock = (times - days).astype(np.int64) / (_MICRO * _DAY)
            off = np.where(np.is_busday(days), 0.0, 0.5)  # a weekend is on no step
            places = (np.busday_count(days[0], days) + off + clock - clock[0]) / self.step
        else:
            places = _months(times) / self.step
        near = np.round(places)
        return np.asarray(np.where(np.abs(places - near) < _ROUNDING, near, places), dtype=np.float64)

    def after(self, last: Any, count: int) -> Times | None:
        """(K,) the times of the next steps after `last`; None for rows, whose next times nobody knows."""
        ahead = np.arange(1, count + 1)
        if self.unit == "row" or last is None:
            return None
        if self.unit == "number":
            return np.asarray(last + ahead * self.step, dtype=np.float64)
        if self.unit == "second":
            return np.asarray(last + (ahead * self.step * _MICRO).astype("timedelta64[us]"))
        day = last.astype("datetime64[D]")
        clock = last - day
        if self.unit == "business_day":
            found = np.busday_offset(day, (ahead * int(self.step)).astype(np.int64))
            return np.asarray(found.astype("datetime64[us]") + clock)
        months = last.astype("datetime64[M]") + (ahead * int(self.step)).astype("timedelta64[M]")
        ends = (months + 1).astype("datetime64[D]") - 1
        is_end = (last.astype("datetime64[M]") + 1).astype("datetime64[D]") - 1 == day
        offset = day - last.astype("datetime64[M]").astype("datetime64[D]")
        days = ends if is_end else np.minimum(months.astype("datetime64[D]") + offset, ends)
        return np.asarray(days.astype("datetime64[us]") + clock)

    def to_plain(self) -> dict[str, Any]:
        """Plain values that make an equal frequency."""
        return {"unit": self.unit, "step": self.step}

    def __str__(self) -> str:
        """Such as `1 h` or `rows`."""
        if self.unit == "row":
            return "one row a step"
        if self.unit == "number":
            return f"steps of {self.step:g}"
        names = {"month": _MONTHS, "second": _SECONDS}.get(self.unit, {"business day": 1})
        word, size = next((w, s) for w, s in reversed(names.items()) if self.step % s == 0)
        return f"{self.step / size:g} {word}"


def inferred_frequency(times: Sequence[Times]) -> Frequency | None:
    """The step that all times of all series lie on, None where there is none; each (N,) increasing."""
    long = [own for own in times if len(own) > 1]
    if not long:
        return None
    if long[0].dtype.kind != "M":
        step = _common([float(gap) for own in long for gap in np.unique(np.diff(own))])
        return Frequency("number", step) if step else None
    gaps = np.concatenate([np.diff(own).astype(np.int64) for own in long])
    found = [Frequency("second", _usual(gaps) / _MICRO), *_of_calendar(long)]
    fitting = [one for one in found if all(_fits(one, own) for own in long)]
    # The step that leaves the fewest gaps: business days have none where days have weekends.
    return min(fitting, key=lambda one: sum(one.places(own)[-1] for own in long), default=None)


def _of_calendar(times: Sequence[Times]) -> list[Frequency]:
    found = []
    if all(np.is_busday(own.astype("datetime64[D]")).all() for own in times):
        found.append(Frequency("business_day"))
    months = [np.diff(_months(own)) for own in times]
    if all((own == np.round(own)).all() and (own > 0).all() for own in months):
        found.append(Frequency("month", gcd(*(int(gap) for own in months for gap in np.unique(own)))))
    return found


def _usual(gaps: NDArray[np.int64]) -> int:
    """The most frequent gap, the smallest of equally frequent ones."""
    sizes, counts = np.unique(gaps, return_counts=True)
    return int(sizes[counts.argmax()])


def _common(gaps: Sequence[float]) -> float:
    """The smallest gap, if it divides all of them, else 0."""
    least = min(gaps)
    return least if all(abs(gap / least - round(gap / least)) < _ROUNDING for gap in gaps) else 0.0


def _fits(frequency: Frequency, times: Times) -> bool:
    places = frequency.places(times)
    return bool((places == np.round(places)).all() and (np.diff(places) > 0).all())


def _months(times: Times) -> NDArray[np.float64]:
    """(N,) months from the first time; fractions for another day of the month, but not for ends of months."""
    months = times.astype("datetime64[M]")
    inside = (times - months.astype("datetime64[us]")).astype(np.int64) / (31 * _DAY * _MICRO)
    days = times.astype("datetime64[D]")
    if ((months + 1).astype("datetime64[D]") - 1 == days).all():
        inside = (times - days).astype(np.int64) / (31 * _DAY * _MICRO)
    return np.asarray((months - months[0]).astype(np.int64) + inside - inside[0])
