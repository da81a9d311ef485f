"""One fault is one warning: what follows from it comes after it, as a note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations, product
from typing import get_args

import pytest

from dlexp.diagnosis.consequences import FOLLOWS, TURNED
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


@pytest.mark.parametrize(
    ("cause", "other"), [("dead_units", "vanishing_gradients"), ("class_collapse", "rate_too_low")]
)
def test_of_faults_that_bring_each_other_the_surer_one_is_the_cause(cause: Fault, other: Fault) -> None:
    """Weights of classes that mend a collapse are shown better than a rate; so are weights that pass the gradient."""
    for first, second in ((cause, other), (other, cause)):
        for one in permutations((told(first, "warning", 0.9), told(second, "warning", 0.5))):
            assert codes(*one) == [f"warning {first}", f"note {second}"]
    found = (told(cause, "note", 0.9), told(other, "error", 0.5))
    assert codes(*found) == [f"error {other}", f"note {cause}"], "a note explains nothing graver"


def test_gradients_that_explode_are_the_cause_of_what_comes_of_them() -> None:
    found: tuple[Fault, ...] = (
        "rate_too_low",
        "underfitting",
        "bad_initial_loss",
        "overfitting",
        "exploding_gradients",
    )
    told_of = [told(code, "warning", 0.9 - 0.1 * number) for number, code in enumerate(found)]
    assert codes(*told_of)[0] == "warning exploding_gradients"
    assert [one.severity for one in ordered(told_of)].count("note") == 4


def test_a_collapse_that_is_surer_than_some_only_follows_from_the_others() -> None:
    found = (
        told("rate_too_low", "warning", 0.8),
        told("underfitting", "warning", 0.5),
        told("class_collapse", "warning", 0.6),
    )
    for one in permutations(found):
        assert codes(*one)[0] == "warning rate_too_low"
        assert [given.severity for given in ordered(one)] == ["warning", "note", "note"]


def test_no_fault_follows_from_itself() -> None:
    """Whichever of the faults are turned."""
    for turned in product((False, True), repeat=len(TURNED)):
        edges = {code: set(followers) for code, followers in FOLLOWS.items()}
        for (code, causes), is_turned in zip(TURNED.items(), turned, strict=True):
            assert all(code in edges[cause] for cause in causes)
            if is_turned:
                for cause in causes:
                    edges[cause].discard(code)
                edges.setdefault(code, set()).update(causes)
        assert [code for code in get_args(Fault) if code in _reached_from(code, edges)] == []


def _reached_from(code: Fault, edges: Mapping[Fault, set[Fault]]) -> set[Fault]:
    found: set[Fault] = set()
    waiting = list(edges.get(code, set()))
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += edges.get(one, set())
    return found


def test_what_mends_the_root_is_the_remedy_of_all_that_follows() -> None:
    root = replace(told("rate_too_high"), remedy=("optim.lr=0.1",))
    found = ordered([replace(told("dead_units"), remedy=("optim.lr=1",)), root])
    assert [one.remedy for one in found] == [("optim.lr=0.1",)] * 2
    assert ordered([replace(told("dead_units"), remedy=("optim.lr=1",)), told("rate_too_high")])[1].remedy == (
        "optim.lr=1",
    )
