"""Planted faults of the fit are found first or second, and the words that are told mend them."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_toys.doctor_runs import case_of

from dlexp.diagnosis.judge import judge
from dlexp.diagnosis.rules.fit import classes, fit, regularization

RULES = (*fit.RULES, *classes.RULES, *regularization.RULES)
MLP = "data.augment=none model=mlp model.hidden=[64] trainer.epochs=8"
NOISY = (
    "data=synthetic_regression data.num_samples=200 data.noise=1 model=mlp model.hidden=[256,256] model.norm=none "
    "model.dropout=0 optim.weight_decay=0 trainer.epochs=30"
)


@pytest.mark.parametrize(
    "code, words, metric",
    [
        ("regularization_too_strong", f"{MLP} optim.weight_decay=60", "loss"),
        ("class_collapse", f"{MLP} loss.class_weights=[1,1,1,1000000,1,1,1,1,1,1]", "accuracy"),
        ("underfitting", f"{MLP} model.hidden=[2] model.norm=none model.dropout=0", "accuracy"),
        pytest.param(
            "augmentation_too_strong",
            f"{MLP} data.augment=[flip,{{rotate:180}}] regularization.random_erasing=1",
            "accuracy",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "regularization_too_strong", f"{MLP} model.dropout=0.97", "accuracy", marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "regularization_too_strong", f"{MLP} regularization.l1=0.1", "accuracy", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_a_planted_fault_is_found_and_mended(code: str, words: str, metric: str, tmp_path: Path) -> None:
    case = case_of(words.split(), tmp_path / "sick")
    found = judge(case, RULES)
    assert code in [one.code for one in found[:2]]
    remedy = next(one.remedy for one in found if one.code == code)
    assert remedy
    assert case.end is not None
    mended = case.twin(*remedy).after
    assert mended is not None
    before, after = case.end.val.metrics[metric], mended.val.metrics[metric]
    assert after < 0.7 * before if metric == "loss" else after - before > 0.3 * (1 - before)


def test_overfitting_is_found_and_a_restraint_lowers_the_validation_loss(tmp_path: Path) -> None:
    case = case_of(NOISY.split(), tmp_path / "sick")
    found = judge(case, RULES)
    assert [one.code for one in found if one.severity != "note"][:1] == ["overfitting"]
    assert case.end is not None
    twin = case.twin(*found[0].remedy)
    assert twin.after is not None
    assert twin.after.val.metrics["loss"] < 0.85 * case.end.val.metrics["loss"]
