"""All rules applied to a case, and their verdicts in the order in which they should be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.verdict import Fault, Verdict
from dlexp.findings import SEVERITIES

Rule = Callable[[Case], Iterator[Verdict]]

# Fault -> faults that follow from it, so that they are told as notes behind it.
_FOLLOWS: Mapping[Fault, Sequence[Fault]] = {}


def judge(case: Case, rules: Sequence[Rule]) -> list[Verdict]:
    """The verdicts of all rules, the gravest and surest first; what follows from another one comes after it."""
    found = [verdict for rule in rules for verdict in rule(case)]
    return sorted(
        found, key=lambda verdict: (_follows(verdict, found), SEVERITIES.index(verdict.severity), -verdict.confidence)
    )


def _follows(verdict: Verdict, all_found: Sequence[Verdict]) -> bool:
    return any(verdict.code in _FOLLOWS.get(other.code, ()) for other in all_found if other is not verdict)
