"""Faults planted in small runs are among the first two findings, and healthy runs get no warning of this family."""

from __future__ import annotations

from pathlib import Path

import pytest
from sick_networks import findings, own_networks

DIGITS = ("model=net", "data.augment=none", "trainer.epochs=6")
VALUES = ("model=net", "data=diabetes", "trainer.epochs=15")
PLANTED = [
    ("dead", DIGITS, "dead_units"),
    ("saturated", (*DIGITS, "model.activation=tanh"), "saturated_units"),
    ("large", DIGITS, "bad_initial_loss"),
    ("softmax", DIGITS, "double_softmax"),
    ("sigmoid_end", DIGITS, "loss_output_mismatch"),
    ("relu_end", VALUES, "loss_output_mismatch"),
    ("frozen", DIGITS, "frozen_parameters"),
    ("extra", DIGITS, "unused_parameters"),
    ("cut", DIGITS, "unused_parameters"),
    ("stale", DIGITS, "batch_norm_small_batch"),
    ("half", (*DIGITS, "optim.lr=3e-4", "trainer.epochs=15"), "low_precision"),
]
FAMILY = {code for *_, code in PLANTED} | {"fading_memory"}


@pytest.mark.parametrize(("fault", "words", "code"), PLANTED, ids=[fault for fault, *_ in PLANTED])
def test_a_planted_fault_is_among_the_first_two(
    fault: str, words: tuple[str, ...], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with own_networks(tmp_path) as catalog:
        found = findings(tmp_path, catalog, (*words, f"model.fault={fault}"))
    assert code in [one.code for one in found[:2]], [(one.code, one.severity) for one in found]
    verdict = next(one for one in found if one.code == code)
    assert verdict.remedy or verdict.action
    assert verdict.severity != "note" or verdict is not found[0]


HEALTHY = {
    "own": DIGITS,
    "values": VALUES,
    "log_softmax": (*DIGITS, "model.fault=log_softmax"),
    "mlp": ("model=mlp", "model.hidden=[64,32]", "trainer.epochs=6"),
    "no norm": ("model=mlp", "model.hidden=[64,32]", "model.norm=none", "data=diabetes", "trainer.epochs=15"),
    "tanh": ("model=mlp", "model.hidden=[64,32]", "model.norm=none", "model.activation=tanh", "trainer.epochs=6"),
    "iris": ("model=mlp", "model.hidden=[32]", "data=iris", "trainer.epochs=15"),
    "lstm": (
        "model=lstm",
        "data=adding",
        "data.length=12",
        "data.num_samples=400",
        "trainer.epochs=4",
        "model.units=16",
    ),
}


@pytest.mark.parametrize("words", HEALTHY.values(), ids=list(HEALTHY))
def test_healthy_runs_get_no_warning(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with own_networks(tmp_path) as catalog:
        found = findings(tmp_path, catalog, words)
    assert not [(one.code, one.what) for one in found if one.severity != "note" and one.code in FAMILY]
