"""All rules applied to a case, and their verdicts in the order in which they should be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.consequences import FOLLOWS, TURNED
from dlexp.diagnosis.verdict import Verdict
from dlexp.findings import SEVERITIES

Rule = Callable[[Case], Iterator[Verdict]]


def judge(case: Case, rules: Sequence[Rule]) -> list[Verdict]:
    """The verdicts of all rules, in the order of `ordered`."""
    return ordered([verdict for rule in rules for verdict in rule(case)])


def ordered(found: Sequence[Verdict]) -> list[Verdict]:
    """The gravest and surest first, each followed by what comes of it, as notes: one fault is one warning."""
    by_weight = sorted(found, key=lambda one: (SEVERITIES.index(one.severity), -one.confidence))
    roots = [one for one in by_weight if _root_of(one, by_weight) is None]
    first: list[Verdict] = []
    for root in roots:
        own = [one for one in by_weight if one not in roots and _root_of(one, by_weight) is root]
        first += [root, *(_as_consequence(one, root) for one in own)]
    return first


def _root_of(verdict: Verdict, found: Sequence[Verdict]) -> Verdict | None:
    """The gravest verdict that it follows from and that follows from no other one, None if there is none.

    A note explains nothing that is graver than itself.
    """
    causes = [
        other
        for other in found
        if _follows(verdict, other, found)
        and SEVERITIES.index(other.severity) <= max(SEVERITIES.index(verdict.severity), SEVERITIES.index("warning"))
    ]
    for cause in causes:
        return _root_of(cause, found) or cause
    return None


def _follows(verdict: Verdict, other: Verdict, found: Sequence[Verdict]) -> bool:
    if other.code in TURNED.get(verdict.code, ()) and _is_turned(verdict, found):
        return False
    if verdict.code in TURNED.get(other.code, ()) and _is_turned(other, found):
        return True
    return verdict.code in FOLLOWS.get(other.code, ())


def _is_turned(verdict: Verdict, found: Sequence[Verdict]) -> bool:
    """Whether a verdict is surer than all those that it usually follows from."""
    return all(one.confidence < verdict.confidence for one in found if one.code in TURNED[verdict.code])


def _as_consequence(verdict: Verdict, root: Verdict) -> Verdict:
    """What mends the root mends it too, so that two findings of one fault do not ask for two things."""
    cause = f"It follows from {root.code}. {verdict.cause}"
    return replace(verdict, severity="note", cause=cause, remedy=root.remedy or verdict.remedy)
