"""Fit, classes and regularization: each rule fires, and stays silent at each side of its limits."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from doctor_toys.fit_toys import ToyTwins, Trained, case_of, network, outputs

from dlexp.diagnosis.case import Case, Start, Twin
from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules.fit.classes import class_collapse, class_imbalance
from dlexp.diagnosis.rules.fit.fit import overfitting, underfitting
from dlexp.diagnosis.rules.fit.gains import NO_GAIN, excess, gain_of, shortfall
from dlexp.diagnosis.rules.fit.regularization import augmentation_too_strong, regularization_too_strong
from dlexp.diagnosis.rules.fit.restraints import larger_networks
from dlexp.diagnosis.verdict import Verdict

RISING = [1.0, 0.8, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]
FLAT = [1.0, 0.8, 0.7, 0.65, 0.62, 0.61, 0.6, 0.6]
WIDER = ("model.hidden=[64]",)
STORED_OFF = ("model.dropout=0.001", "optim.weight_decay=0")
ALL_OFF = ("model.dropout=0", "optim.weight_decay=0")


def one(rule: Rule, case: Case) -> Verdict | None:
    """The verdict of a rule, which must be well made; None for none."""
    found = list(rule(case))
    assert len(found) <= 1
    for verdict in found:
        crossed = [e for e in verdict.evidence if e.limit is not None]
        for e in crossed:
            assert e.limit is not None and (e.value > e.limit if e.side == "above" else e.value < e.limit), e
        if verdict.severity != "note":
            assert len(crossed) >= 2
            assert len({e.is_trial for e in crossed}) == 2 or len(crossed) >= 3
            assert verdict.remedy or verdict.action
    return found[0] if found else None


# --- gains ---------------------------------------------------------------------------------------


def test_a_gain_is_sure_where_the_same_samples_agree() -> None:
    found = gain_of(outputs(1.0), outputs(0.5))
    assert found.share == pytest.approx(0.5) and 0.4 < found.low <= 0.5


def test_a_gain_of_few_scattered_samples_is_not_sure() -> None:
    own, other = outputs(1.0, count=8, spread=1.5), outputs(0.8, count=8, spread=1.5)
    other = type(other)(**{**vars(other), "sample_losses": other.sample_losses[::-1]})
    assert gain_of(own, other).low < 0


def test_networks_that_are_not_finite_gain_nothing_and_lose_everything() -> None:
    broken = outputs(1.0)
    broken = type(broken)(**{**vars(broken), "sample_losses": [nan] * 200})
    assert gain_of(outputs(1.0), broken) == NO_GAIN
    assert gain_of(broken, outputs(1.0)).share == 1.0


def test_the_excess_of_equal_losses_is_not_above_zero() -> None:
    assert excess(outputs(1.0), outputs(1.0)) <= 0 < excess(outputs(0.1), outputs(1.0))


def test_the_shortfall_of_classes_is_one_for_the_best_constant_answer() -> None:
    rare = outputs(0.198515, shares=[0.95, 0.05, 0.0, 0.0], recalls=[1.0, 0.0, nan, nan])
    assert shortfall(case_of(network(rare, rare)), rare) == pytest.approx(1.0, abs=1e-4)


def test_the_shortfall_of_values_is_in_variances_of_the_targets() -> None:
    assert shortfall(case_of(network(0.4, 0.5), is_classes=False), outputs(0.4)) == pytest.approx(0.4)


# --- overfitting ---------------------------------------------------------------------------------

TOGETHER = ("model.dropout=0.5", "optim.weight_decay=0.3")
DROPPED = {("data.augment=crop", *TOGETHER): network(0.3, 0.5), ("model.dropout=0.5",): network(0.3, 0.4)}


def test_overfitting_needs_a_gap_and_a_restraint_that_helps() -> None:
    found = one(overfitting, case_of(network(0.01, 1.0), DROPPED, val_losses=FLAT))
    assert found is not None and found.code == "overfitting" and found.severity == "warning"
    assert found.remedy == ("model.dropout=0.5",)


def test_a_gap_that_no_restraint_narrows_is_no_overfitting() -> None:
    assert one(overfitting, case_of(network(0.01, 1.0), val_losses=RISING)) is None


def test_no_gap_is_no_overfitting() -> None:
    assert one(overfitting, case_of(network(0.9, 1.0), DROPPED, val_losses=FLAT)) is None


def test_a_healthy_network_that_knows_its_samples_has_nothing_to_gain() -> None:
    case = case_of(network(0.001, 0.08), {("model.dropout=0.5",): network(0.01, 0.05)}, val_losses=FLAT)
    assert one(overfitting, case) is None
    assert cast_twins(case).asked == []  # no trial is made for nothing


def test_a_rise_after_the_best_epoch_alone_is_a_note() -> None:
    val = network(0.01, 1.0)
    made = {("trainer.epochs=3",): network(0.2, 0.58)}
    found = one(overfitting, case_of(val, made, val_losses=RISING, settings={"optim.weight_decay": None}))
    assert found is not None and found.severity == "note" and found.epoch == 3
    assert found.remedy == ("trainer.epochs=3",)


def test_the_noise_of_a_curve_is_no_rise() -> None:
    noisy = [1.0, 0.12, 0.08, 0.12, 0.08, 0.12, 0.08, 0.12, 0.09]
    assert one(overfitting, case_of(network(0.001, 0.09), DROPPED, val_losses=noisy)) is None


def test_a_run_that_was_not_finite_is_not_overfitted() -> None:
    assert one(overfitting, case_of(network(nan, nan), DROPPED, val_losses=[1.0, nan, inf])) is None


def test_of_equal_restraints_the_shorter_words_are_told() -> None:
    together = ("regularization.mixup=0.4", *TOGETHER)
    made = {("model.dropout=0.5",): network(0.3, 0.4), together: network(0.3, 0.39)}
    case = case_of(network(0.01, 1.0), made, val_losses=FLAT, settings={"data.augment": "crop"})
    found = one(overfitting, case)
    assert found is not None and found.remedy == ("model.dropout=0.5",)


def test_two_restraints_that_promise_nothing_are_enough() -> None:
    case = case_of(network(0.01, 1.0), {("optim.weight_decay=0.3",): network(0.3, 0.4)}, val_losses=FLAT)
    assert one(overfitting, case) is None
    assert len(cast_twins(case).asked) == 3  # the run itself, all restraints, the first of them


def test_what_is_known_by_heart_alone_is_told_even_if_no_restraint_surely_helps() -> None:
    end = network(outputs(0.001, count=40), outputs(1.3, count=40))
    made = {("model.dropout=0.5",): network(0.3, outputs(1.2, count=40))}
    flat = [1.4, 1.3, 1.25, 1.3, 1.3]
    found = one(overfitting, case_of(end, made, val_losses=flat))
    assert found is not None and (found.severity, found.remedy) == ("warning", ("model.dropout=0.5",))
    found = one(overfitting, case_of(end, val_losses=flat))
    assert found is not None and found.severity == "warning" and found.remedy == ("trainer.epochs=3",)


def test_a_network_that_was_good_in_one_epoch_is_not_only_known_by_heart() -> None:
    end = network(outputs(0.001, count=40), outputs(1.3, count=40))
    assert one(overfitting, case_of(end, val_losses=[1.4, 0.5, 1.3, 1.3, 1.3])) is None
    little = network(outputs(0.4, count=40), outputs(1.3, count=40))
    assert one(overfitting, case_of(little, val_losses=[1.4, 1.3, 1.3, 1.3])) is None


# --- underfitting --------------------------------------------------------------------------------


def test_underfitting_is_shown_by_a_larger_network() -> None:
    case = case_of(network(1.0, 1.0), {WIDER: network(0.2, 0.3)}, val_losses=FLAT, train_losses=FLAT)
    found = one(underfitting, case)
    assert found is not None and found.code == "underfitting" and found.remedy == WIDER and found.severity == "error"


@pytest.mark.parametrize("losses", [[2.0, 1.8], [2.0, 1.8, 1.6, 1.4, 1.2, 1.0]])
def test_a_training_loss_that_still_falls_tells_little_of_the_size(losses: list[float]) -> None:
    case = case_of(network(1.0, 1.0), {WIDER: network(0.2, 0.3)}, val_losses=losses, train_losses=losses)
    found = one(underfitting, case)
    assert found is not None and found.severity == "note"


@pytest.mark.parametrize("train, val", [(0.9, 0.9), (0.2, 0.95), (0.7, 0.3)])
def test_a_larger_network_that_gains_little_is_no_underfitting(train: float, val: float) -> None:
    assert one(underfitting, case_of(network(1.0, 1.0), {WIDER: network(train, val)}, val_losses=FLAT)) is None


def test_a_network_that_fits_its_samples_is_not_too_small() -> None:
    assert one(underfitting, case_of(network(0.2, 0.4), {WIDER: network(0.01, 0.05)}, val_losses=FLAT)) is None


def test_a_network_without_widths_is_compared_with_others() -> None:
    made: Trained = {("model=tabular_mlp",): "takes no images", ("model=simple_cnn",): network(0.1, 0.2)}
    case = case_of(network(1.0, 1.0), made, val_losses=FLAT, settings={"model.hidden": None})
    found = one(underfitting, case)
    assert found is not None and found.remedy == ("model=simple_cnn",)


@pytest.mark.parametrize(
    ("kind", "wider"),
    [
        ({"model.layer_kind": "dense"}, "model.hidden=[64]"),
        ({"model.layer_kind": "convolutional"}, "model.channels=[32]"),
        ({"model.network": "unet"}, "model.channels=[32]"),
    ],
)
def test_a_width_that_has_no_effect_is_not_made_larger(kind: dict[str, Any], wider: str) -> None:
    case = case_of(network(1.0, 1.0), {}, settings={"model.channels": [8], **kind})
    assert list(larger_networks(case)) == [(wider,)]


# --- regularization ------------------------------------------------------------------------------


def test_regularization_is_named_by_the_trial_without_it() -> None:
    made = {ALL_OFF: network(0.1, 0.2), ("model.dropout=0",): network(0.1, 0.2)}
    case = case_of(network(1.0, 1.0), made, val_losses=FLAT, settings={"model.dropout": 0.9})
    found = one(regularization_too_strong, case)
    assert found is not None and found.severity == "error" and found.remedy == ("model.dropout=0",)


def test_regularization_of_a_usual_strength_is_at_most_a_note() -> None:
    found = one(regularization_too_strong, case_of(network(1.0, 1.0), {ALL_OFF: network(0.1, 0.2)}, val_losses=FLAT))
    assert found is not None and found.severity == "note"


@pytest.mark.parametrize("pad, severity", [(1, "note"), (4, "error")])
def test_a_usual_shift_of_images_is_at_most_a_note(pad: int, severity: str) -> None:
    made = {("data.augment=none",): network(0.05, 0.1)}
    case = case_of(network(0.9, 0.9), made, settings={"data.augment": "crop", "data.pad": pad}, val_losses=FLAT)
    found = one(augmentation_too_strong, case)
    assert found is not None and found.severity == severity


def test_a_usual_strength_is_told_where_it_is_as_good() -> None:
    made = {key: network(0.1, 0.2) for key in (ALL_OFF, ("model.dropout=0",), ("model.dropout=0.2",))}
    case = case_of(network(1.0, 1.0), made, settings={"model.dropout": 0.9}, val_losses=FLAT)
    found = one(regularization_too_strong, case)
    assert found is not None and found.remedy == ("model.dropout=0.2",)


def test_several_regularizers_are_to_blame_together_where_none_is_alone() -> None:
    found = one(regularization_too_strong, case_of(network(1.0, 1.0), {ALL_OFF: network(0.1, 0.2)}, val_losses=FLAT))
    assert found is not None and found.remedy == ALL_OFF


@pytest.mark.parametrize(
    "end, without",
    [
        (network(0.15, 0.5), network(0.01, 0.2)),  # it fits its samples
        (network(1.0, 1.0), network(0.1, 0.95)),  # fits them better, and validates no better
        (network(1.0, 1.0), network(0.8, 0.8)),  # little is gained
        (network(1.0, 1.0), "does not fit"),
    ],
)
def test_regularization_that_does_no_harm_is_not_told(end: object, without: object) -> None:
    assert one(regularization_too_strong, case_of(end, {ALL_OFF: without}, val_losses=FLAT)) is None  # type: ignore[arg-type, dict-item]


def test_a_run_without_regularization_is_tried_no_further() -> None:
    settings = {"model.dropout": 0.0, "optim.weight_decay": 0.0}
    case = case_of(network(1.0, 1.0), settings=settings, val_losses=FLAT)
    assert one(regularization_too_strong, case) is None
    assert cast_twins(case).asked == []


def test_trials_of_a_long_run_start_where_it_ended() -> None:
    case = case_of(network(1.0, 1.0), {STORED_OFF: network(0.1, 0.2)}, val_losses=FLAT, updates=10_000, watched=50)
    found = one(regularization_too_strong, case)
    assert found is not None and found.remedy == ALL_OFF
    assert {start for _, start in cast_twins(case).asked} == {"stored"}


def test_a_run_that_was_merely_too_short_is_at_most_noted() -> None:
    class Longer(ToyTwins):
        def __call__(self, *words: str, start: Start = "initial", **more: Any) -> Twin:
            return super().__call__(*(("longer",) if start == "stored" and not words else words), start=start)

    made = {ALL_OFF: network(0.1, 0.2), WIDER: network(0.1, 0.2), ("longer",): network(0.1, 0.2)}
    case = case_of(network(1.0, 1.0), val_losses=FLAT)
    as_good = replace(case, twin=Longer(network(1.0, 1.0), made))
    for rule in (regularization_too_strong, underfitting):
        found = one(rule, as_good)
        assert found is not None and found.severity == "note"
    learning = replace(case, twin=Longer(network(1.0, 1.0), {WIDER: network(0.1, 0.1), ("longer",): network(0.6, 0.7)}))
    found = one(underfitting, learning)
    assert found is not None and found.severity == "note"
    better = replace(case, twin=Longer(network(1.0, 1.0), {**made, ("longer",): network(0.05, 0.1)}))
    assert one(regularization_too_strong, better) is None
    assert one(underfitting, better) is None


def test_stored_weights_that_are_beyond_help_are_left_for_the_initial_ones() -> None:
    class Beyond(ToyTwins):
        def __call__(self, *words: str, start: Start = "initial", **more: Any) -> Twin:
            return super().__call__(*(() if start == "stored" else words), start=start)

    case = case_of(network(1.0, 1.0), val_losses=FLAT, updates=10_000, watched=50)
    case = replace(case, twin=Beyond(network(1.0, 1.0), {ALL_OFF: network(0.1, 0.2)}))
    found = one(regularization_too_strong, case)
    assert found is not None and found.remedy == ALL_OFF
    slower = replace(case, twin=Beyond(network(1.0, 1.0), {ALL_OFF: network(0.9, 0.9)}))
    assert one(regularization_too_strong, slower) is None


def test_a_short_trial_says_nothing_of_a_run_that_is_to_begin() -> None:
    case = case_of(None, {ALL_OFF: network(0.1, 0.2)}, updates=10_000, watched=50)
    assert one(regularization_too_strong, case) is None


def test_augmentation_is_shown_by_the_trial_without_it() -> None:
    settings = {"data.augment": ["flip", {"rotate": 90}], "regularization.random_erasing": 0.9}
    off = ("data.augment=none", "regularization.random_erasing=0")
    made = {off: network(0.05, 0.1), ("data.augment=none",): network(0.05, 0.12)}
    case = case_of(network(0.6, 0.6), made, settings=settings, val_losses=FLAT, train_losses=[1.9] * 8)
    found = one(augmentation_too_strong, case)
    assert found is not None and found.remedy == ("data.augment=none",)
    assert "loss of changed training samples" in found.evidence[0].measure


def test_augmentation_that_helps_is_not_told() -> None:
    made = {("data.augment=none",): network(0.01, 0.7)}
    case = case_of(network(0.6, 0.6), made, settings={"data.augment": "crop"}, val_losses=FLAT)
    assert one(augmentation_too_strong, case) is None


def test_before_a_run_changes_of_samples_that_only_need_more_epochs_are_not_told() -> None:
    """In three epochs a network learns more without them; in twice as many it learns as much with them."""
    settings = {"data.augment": ["flip", {"rotate": 10}]}
    made: dict[tuple[str, ...], Any] = {("data.augment=none",): network(0.05, 0.2)}
    case = case_of(None, {**made, (): network(0.4, 0.5)}, settings=settings)
    longer = (f"trainer.epochs={2 * case.facts.epochs}",)
    shown = one(augmentation_too_strong, case_of(None, {**made, (): network(0.4, 0.5)}, settings=settings))
    assert shown is not None and shown.severity != "note", "it stays as bad with more epochs"
    made = {**made, (): network(0.4, 0.5), longer: network(0.05, 0.1)}
    assert one(augmentation_too_strong, case_of(None, made, settings=settings)) is None


def test_mixing_is_switched_off_with_its_probability() -> None:
    settings = {"regularization.cutmix": 1.0, "regularization.mix_probability": 0.5}
    off = ("regularization.cutmix=0", "regularization.mix_probability=1")
    case = case_of(network(0.6, 0.6), {off: network(0.05, 0.1)}, settings=settings, val_losses=FLAT)
    found = one(augmentation_too_strong, case)
    assert found is not None and found.remedy == off


# --- classes -------------------------------------------------------------------------------------

COLLAPSED = outputs(1.38, recalls=[1.0, 0.0, 0.0, 0.0])
RARE = outputs(0.2, shares=[0.95, 0.05, 0.0, 0.0], recalls=[1.0, 0.0, nan, nan])
FOUND = outputs(0.3, shares=[0.95, 0.05, 0.0, 0.0], recalls=[0.9, 0.8, nan, nan])


def test_a_collapse_is_mended_by_the_rate_that_mends_it() -> None:
    made = {("optim.lr=0.0001",): network(COLLAPSED, COLLAPSED), ("optim.lr=1e-05",): network(0.2, 0.2)}
    found = one(class_collapse, case_of(network(COLLAPSED, COLLAPSED), made, val_losses=FLAT))
    assert found is not None and found.severity == "error" and found.remedy == ("optim.lr=1e-05",)


def test_a_collapse_is_surest_where_weights_of_classes_make_it() -> None:
    """One that a rate mends is a matter of the rate, and comes behind it."""
    settings = {"loss.class_weights": [1.0, 1.0, 1.0, 1e6]}
    made = {("loss.class_weights=null",): network(0.2, 0.2), ("optim.lr=0.0001",): network(0.2, 0.2)}
    by_weights = one(class_collapse, case_of(network(COLLAPSED, COLLAPSED), made, settings=settings, val_losses=FLAT))
    by_rate = one(class_collapse, case_of(network(COLLAPSED, COLLAPSED), made, val_losses=FLAT))
    assert by_weights is not None and by_weights.remedy == ("loss.class_weights=null",)
    assert by_rate is not None and by_rate.remedy == ("optim.lr=0.0001",)
    assert by_rate.confidence < 0.5 < 0.8 < by_weights.confidence


def test_a_collapse_that_nothing_mends_is_a_warning_with_an_action() -> None:
    found = one(class_collapse, case_of(network(COLLAPSED, COLLAPSED), val_losses=FLAT))
    assert found is not None and found.severity == "warning" and not found.remedy and found.action


def test_missed_classes_of_a_network_that_has_learned_much_are_no_collapse() -> None:
    some = outputs(0.5, recalls=[1.0, 0.9, 0.0, 0.0])
    assert one(class_collapse, case_of(network(some, some), val_losses=FLAT)) is None


def test_the_most_frequent_class_alone_may_be_the_best_answer() -> None:
    assert one(class_collapse, case_of(network(RARE, RARE), val_losses=FLAT)) is None


def test_imbalance_is_shown_by_a_balanced_trial() -> None:
    made = {("data.balance=weights",): network(RARE, RARE), ("data.balance=sampling",): network(FOUND, FOUND)}
    found = one(class_imbalance, case_of(network(RARE, RARE), made, val_losses=FLAT))
    assert found is not None and found.remedy == ("data.balance=sampling",)


def test_rare_classes_that_balance_does_not_find_are_no_imbalance() -> None:
    assert one(class_imbalance, case_of(network(RARE, RARE), val_losses=FLAT)) is None


def test_rare_classes_that_are_found_are_no_imbalance() -> None:
    assert one(class_imbalance, case_of(network(FOUND, FOUND), val_losses=FLAT)) is None


def test_missed_classes_that_are_not_rare_are_no_imbalance() -> None:
    made = {("data.balance=weights",): network(0.2, 0.2)}
    assert one(class_imbalance, case_of(network(COLLAPSED, COLLAPSED), made, val_losses=FLAT)) is None


def cast_twins(case: Case) -> ToyTwins:
    assert isinstance(case.twin, ToyTwins)
    return case.twin
