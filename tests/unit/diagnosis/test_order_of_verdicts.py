"""One fault is one warning: what follows from it comes after it, as a note."""

from __future__ import annotations

from itertools import permutations
from typing import get_args

from dlexp.diagnosis.consequences import FOLLOWS
from dlexp.diagnosis.judge import ordered
from dlexp.diagnosis.verdict import Evidence, Fault, Verdict
from dlexp.findings import Severity


def told(code: Fault, severity: Severity = "error", confidence: float = 0.5) -> Verdict:
    return Verdict(code, severity, code, (Evidence("x", 1.0),), "A cause.", confidence=confidence)


def codes(*found: Verdict) -> list[str]:
    return [f"{one.severity} {one.code}" for one in ordered(found)]


def test_the_gravest_and_surest_comes_first() -> None:
    assert codes(told("leaking_feature", "warning", 0.9), told("split_shift", "error", 0.4), told("low_precision")) == [
        "error low_precision",
        "error split_shift",
        "warning leaking_feature",
    ]


def test_consequences_are_notes_behind_their_cause_in_any_order() -> None:
    found = (told("class_collapse", confidence=0.9), told("dead_units"), told("rate_too_high", confidence=0.3))
    for one in permutations(found):
        assert codes(*one) == ["error rate_too_high", "note class_collapse", "note dead_units"]


def test_a_chain_has_one_root() -> None:
    chain = (told("plateau"), told("vanishing_gradients"), told("saturated_units"), told("inputs_not_normalized"))
    assert codes(*chain)[0] == "error inputs_not_normalized"
    assert [one.severity for one in ordered(chain)] == ["error", "note", "note", "note"]


def test_faults_of_the_data_stay_apart() -> None:
    found = (told("leaking_feature"), told("duplicates_across_splits"), told("label_noise"), told("overfitting"))
    notes = [one.code for one in ordered(found) if one.severity == "note"]
    assert notes == ["overfitting"]


def test_a_note_explains_nothing_graver() -> None:
    assert codes(told("rate_too_high", "note"), told("dead_units")) == ["error dead_units", "note rate_too_high"]


def test_a_consequence_says_what_it_follows_from() -> None:
    assert ordered([told("dead_units"), told("rate_too_high")])[1].cause == "It follows from rate_too_high. A cause."


def test_no_fault_follows_from_itself() -> None:
    def reaches(code: Fault) -> set[Fault]:
        found: set[Fault] = set()
        waiting = list(FOLLOWS.get(code, ()))
        while waiting:
            if (one := waiting.pop()) not in found:
                found.add(one)
                waiting += FOLLOWS.get(one, ())
        return found

    assert [code for code in get_args(Fault) if code in reaches(code)] == []
