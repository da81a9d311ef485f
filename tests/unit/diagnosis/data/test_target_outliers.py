"""Targets with a few values far from all others are told; heavy tails, zeros and two groups are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from doctor_toys.fit_toys import case_of, network
from numpy.typing import NDArray

from dlexp.diagnosis.case import Case, NetworkMeasure
from dlexp.diagnosis.data.target_outliers import outliers_of
from dlexp.diagnosis.rules.samples.outliers import far_targets

RNG = np.random.default_rng(0)
PLAIN = RNG.normal(300.0, 20.0, 400)


def planted(count: int, times: float) -> NDArray[np.float64]:
    values = PLAIN.copy()
    values[:count] *= times
    return values


def case(error: float, mae: float, huber: float = 1e-4) -> Case:
    """A run whose typical error is the root of `error`, and trials with two losses."""
    trained: dict[tuple[str, ...], NetworkMeasure | str] = {
        ("loss=mae",): network(mae, mae), ("loss=huber",): network(huber, huber),
    }  # fmt: skip
    made = case_of(network(error, error), trained, val_losses=[1.0, error], is_classes=False)
    return replace(made, facts=replace(made.facts, loss="MSE"))


@pytest.mark.parametrize(("count", "times"), [(1, 1000.0), (4, 1e5), (20, -100.0)])
def test_values_beyond_a_gap_are_counted(count: int, times: float) -> None:
    values = planted(count, times)
    found = outliers_of("y", values, float(values.std()))
    assert found is not None
    assert found.count == count
    assert found.gap > 100 and found.core < 0.3 and found.ratio > 20
    assert set(found.values) <= set(values[:count].tolist())


@pytest.mark.parametrize(
    "values",
    [
        PLAIN,
        RNG.lognormal(0.0, 2.0, 400),
        np.where(RNG.random(400) < 0.95, 0.0, RNG.exponential(5.0, 400)),
        np.where(RNG.random(400) < 0.6, 0.0, 100.0 + RNG.normal(0, 1, 400)),
        np.where(RNG.random(400) < 0.7, 0.0, RNG.lognormal(3.0, 1.5, 400)),
        RNG.standard_t(2, 400),
        planted(3, 2.0),
    ],
    ids=["normal", "log-normal", "zeros", "zeros and sums", "two groups", "t", "twice as large"],
)
def test_healthy_targets_have_no_gap_that_matters(values: NDArray[np.float64]) -> None:
    found = outliers_of("y", values, float(values.std()))
    assert found is None or found.gap < 10 or found.core > 0.3


@pytest.mark.parametrize("values", [np.ones(100), PLAIN[:5]], ids=["constant", "few"])
def test_constant_targets_and_few_samples_are_not_judged(values: NDArray[np.float64]) -> None:
    assert outliers_of("y", values, 1.0) is None


def test_a_loss_without_squares_is_the_remedy_where_its_typical_error_is_smaller() -> None:
    values = planted(4, 1e5)
    outliers = outliers_of("y", values, float(values.std()))
    assert outliers is not None
    found = far_targets(outliers, case(0.01, 1e-6))
    assert (found.code, found.severity, found.remedy) == ("targets_not_standardized", "warning", ("loss=mae",))
    assert any(one.is_trial and one.limit == 0.5 for one in found.evidence)
    assert "4 values" in found.what and found.action


def test_without_a_better_loss_and_with_small_errors_it_is_a_note() -> None:
    values = planted(4, 1e5)
    outliers = outliers_of("y", values, float(values.std()))
    assert outliers is not None
    found = far_targets(replace(outliers, median_error=0.5), case(0.01, 0.01, 0.01))
    assert (found.severity, found.remedy) == ("note", ())
    assert far_targets(outliers, case(0.01, 0.01, 0.01)).severity == "warning"  # most samples are answered worse
