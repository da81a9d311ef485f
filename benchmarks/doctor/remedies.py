"""Whether the words of a finding mend what was planted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.doctor.examination import Examinations, Finding, alarms
from benchmarks.doctor.kinds.kind import Case, Kind, Words
from benchmarks.doctor.runs import Outcome, Runs
from dlexp.errors import DlexpError

HALF = 0.5  # of the gap to the healthy twin


@dataclass(frozen=True)
class Treatment:
    """What became of a remedy.

    Attributes:
        words: The remedy, () if none was named.
        is_mended: Whether it mends; None without a remedy.
        text: The metric of the healthy twin, with the fault and with the remedy, or why it could not be trained.
    """

    words: tuple[str, ...]
    is_mended: bool | None
    text: str


def treat(
    kind: Kind,
    case: Case,
    seed: int,
    right: Finding,
    outcomes: tuple[Outcome, Outcome],
    runs: Runs,
    seen: Examinations,
) -> Treatment:
    """Train the sick run again with the words of the right finding."""
    words = tuple(right.get("remedy") or ())
    if not words:
        return Treatment((), None, str(right.get("action") or right.get("cause") or ""))
    try:
        mended = runs.of(with_words(case.words, words), seed)
    except DlexpError as error:
        return Treatment(words, False, f"not trained: {error.code}: {error}")
    assert mended is not None
    if not kind.metric:
        left = [code for code in alarms(seen.of(mended)) if code in kind.codes]
        return Treatment(words, not left, "still found" if left else "no longer found")
    healthy, sick, now = (one.metric(kind.metric, kind.at) for one in (*outcomes, mended))
    return Treatment(words, is_mended(kind, healthy, sick, now), f"{healthy:.3g} / {sick:.3g} / {now:.3g}")


def with_words(words: Words, changes: Sequence[str]) -> Words:
    """The words with some others in the place of their own."""
    changed = dict(words)
    for change in changes:
        key, _, value = change.partition("=")
        if "." not in key and changed.get(key) not in (None, value):  # another option has other keys
            changed = {name: kept for name, kept in changed.items() if not name.startswith(f"{key}.")}
        changed[key] = value
    return changed


def is_mended(kind: Kind, healthy: float, sick: float, now: float) -> bool:
    """Whether at least half of the gap between the sick run and its healthy twin is closed."""
    if not math.isfinite(sick):
        return math.isfinite(now) and (now <= 3 * abs(healthy))
    return (kind.better(now, sick) and abs(now - sick) >= HALF * abs(healthy - sick)) or kind.better(now, healthy)
