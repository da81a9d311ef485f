"""Too few epochs, plateaus and large batches, on made-up runs."""

from __future__ import annotations

from typing import Any

import pytest
from doctor_toys.made_runs import Made

from dlexp.diagnosis.rules.optimization.length import batch_too_large, plateau_of_loss, smaller_batch, stopped_too_soon

FALLING = {"train/loss": [2.0, 1.7, 1.4], "val/loss": [2.0, 1.7, 1.4], "lr": [0.01, 0.007, 0.002]}
FLAT = {"train/loss": [2.0, *[1.5] * 8], "val/loss": [2.0, *[1.5] * 8]}


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.mark.parametrize(("longer", "severity"), [(0.5, "warning"), (1.35, "note"), (1.4, None)])
def test_a_falling_loss_is_a_fault_where_more_epochs_reach_much_more(made: Any, longer: float, severity: Any) -> None:
    made.trials = {("trainer.epochs=12",): (longer, longer)}
    case = made.case((1.4, 1.4), columns=FALLING, epochs=3, updates_per_epoch=10)
    assert [one.severity for one in stopped_too_soon(case)] == ([severity] if severity else [])


def test_a_loss_that_has_come_to_its_end_is_not_tried(made: Any) -> None:
    assert not list(stopped_too_soon(made.case((1.5, 1.5), columns=FLAT)))
    assert not list(stopped_too_soon(made.case((0.01, 0.02), columns=FALLING)))
    assert not made.asked


def test_a_long_run_is_continued_rather_than_repeated(made: Any) -> None:
    made.trials = {(): (0.5, 0.5)}
    case = made.case((1.4, 1.4), columns=FALLING, epochs=1000, updates_per_epoch=100)
    (found,) = stopped_too_soon(case)
    assert made.asked == [((), "stored", None)] and found.remedy == ("trainer.epochs=2000",)


def test_a_short_patience_is_made_longer(made: Any) -> None:
    word = "regularization.early_stopping.patience"
    made.trials = {(f"{word}=10",): (0.4, 0.4)}
    given = {"columns": FALLING, "ending": "stopped early", "epochs": 12, "updates_per_epoch": 10}
    (found,) = stopped_too_soon(made.case((1.4, 1.4), **given, **{word.replace(".", "__"): 2}))
    assert found.remedy == (f"{word}=10",) and found.severity == "warning"
    assert not list(stopped_too_soon(made.case((1.4, 1.4), **given, **{word.replace(".", "__"): 20})))


def test_a_rate_that_is_spent_too_soon_is_a_plateau(made: Any) -> None:
    made.trials = {("scheduler=cosine",): (0.3, 0.3)}
    columns = {**FLAT, "lr": [0.01 * 0.1**n for n in range(9)]}
    case = made.case((1.5, 1.5), columns=columns, options={"scheduler": "exponential"})
    (found,) = plateau_of_loss(case)
    assert found.remedy == ("scheduler=cosine",) and made.asked[-1][1] == "stored"


def test_a_cosine_that_ends_is_no_plateau(made: Any) -> None:
    made.trials = {(): (0.3, 0.3)}
    columns = {**FLAT, "lr": [0.01 * (1 - n / 9) for n in range(9)]}
    assert not list(plateau_of_loss(made.case((1.5, 1.5), columns=columns))) and not made.asked


def test_a_floor_that_nothing_goes_below_is_no_plateau(made: Any) -> None:
    columns = {**FLAT, "lr": [0.01] * 9}
    assert not list(plateau_of_loss(made.case((1.5, 1.5), columns=columns, options={"scheduler": "constant"})))


def test_few_updates_an_epoch_are_a_fault_where_smaller_batches_reach_more(made: Any) -> None:
    made.trials = {("data.batch_size=32",): (0.2, 0.2)}
    few = {"batch_size": 1000, "updates_per_epoch": 1}
    (found,) = batch_too_large(made.case((1.5, 1.5), **few))
    assert found.remedy == ("data.batch_size=32",) and found.severity == "warning"
    assert not list(batch_too_large(made.case((1.5, 1.5), batch_size=100, updates_per_epoch=10)))
    made.trials = {("data.batch_size=32",): (1.49, 1.49)}
    assert not list(batch_too_large(made.case((1.5, 1.5), **few)))


@pytest.mark.parametrize(("epochs", "severity"), [(20, "warning"), (200, "note")])
def test_before_a_run_both_batches_read_as_many_samples(made: Any, epochs: int, severity: str) -> None:
    """The early part of a run that is longer says little: smaller batches always lead there."""
    made.trials = {("data.batch_size=32",): (0.1, 0.1)}
    (found,) = batch_too_large(made.case(None, batch_size=1000, updates_per_epoch=1, epochs=epochs))
    assert found.severity == severity
    own, smaller = (asked for asked in made.asked if asked[2] is not None)
    assert own[0] == () and own[2] == min(50, epochs)
    assert smaller[0] == ("data.batch_size=32",)
    assert smaller[2] is not None and smaller[2] * 32 <= own[2] * 1000 + 32


def test_batches_that_are_accumulated_count_together(made: Any) -> None:
    made.trials = {("trainer.accumulate=1",): (0.2, 0.2)}
    case = made.case((1.5, 1.5), batch_size=32, updates_per_epoch=2, trainer__accumulate=16)
    assert [one.remedy for one in batch_too_large(case)] == [("trainer.accumulate=1",)]


@pytest.mark.parametrize(("count", "size"), [(20, 8), (130, 8), (300, 16), (1347, 64), (60000, 64)])
def test_a_smaller_batch_leaves_many_updates(count: int, size: int) -> None:
    assert smaller_batch(count) == size
