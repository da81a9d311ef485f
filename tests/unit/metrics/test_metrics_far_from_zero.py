"""R2, explained variance and errors of numbers of any size, against scikit-learn and NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import explained_variance_score, mean_absolute_error, r2_score, root_mean_squared_error

from dlexp.metrics.bootstrap import blocks
from dlexp.metrics.regression import ValueSamples
from dlexp.metrics.states import RegressionState
from dlexp.types import Prediction

Floats = NDArray[np.float64]
_STEPS = np.arange(100.0)
CASES: dict[str, tuple[Floats, Floats]] = {  # true, error
    "usual": (_STEPS / 50, 0.1 * np.sin(_STEPS)),
    "far": (2e6 + _STEPS / 50, 0.1 * np.sin(_STEPS)),
    "farther": (1e12 + _STEPS / 50, 0.1 * np.sin(_STEPS)),
    "below 0": (-1.7e9 + 20 * np.cos(_STEPS), 0.5 + np.sin(_STEPS)),
    "tiny": (1e-14 * _STEPS, 1e-14 * np.sin(_STEPS)),
    "tiny squares": (1e-200 * _STEPS, 1e-200 * np.sin(_STEPS)),
    "huge squares": (1e200 * _STEPS, 1e200 * np.sin(_STEPS)),
}


def scaled(values: Floats) -> Floats:
    """By a power of two next to 1 of the case's size, for scikit-learn squares what it is given."""
    size = float(np.abs(values - values.mean()).max())
    return np.asarray(np.ldexp(values, -int(np.frexp(size)[1])))


def state_of(true: Floats, predicted: Floats, scale: float) -> RegressionState:
    middle = float(true[len(true) // 3])
    state = RegressionState(1, [middle], [scale])
    pairs = zip(np.array_split(true, 7), np.array_split(predicted, 7), strict=True)
    for number, (some, estimated) in enumerate(pairs):
        other = RegressionState(1, [middle], [scale])
        one = other if number % 2 else state
        outputs, targets = torch.from_numpy(estimated)[:, None], torch.from_numpy(some)[:, None]
        one.update(Prediction(outputs, targets, torch.tensor(0.0), torch.arange(len(some))))
        if one is other:
            state.merge(other)
    return state


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_those_of_scikit_learn(case: str) -> None:
    true, error = CASES[case]
    predicted = true + error
    size = scaled(true)[1] / true[1]
    factor = float(2.0 ** np.round(np.log2(abs(size))))
    whole, estimated = true * factor, predicted * factor
    expected = {
        "r2": r2_score(whole, estimated),
        "explained_variance": explained_variance_score(whole, estimated),
        "rmse": root_mean_squared_error(whole, estimated) / factor,
        "mae": mean_absolute_error(whole, estimated) / factor,
    }
    found = ValueSamples(predicted[:, None], true[:, None]).chosen(list(expected))
    assert found == pytest.approx(expected, rel=1e-9, abs=0)
    epoch = state_of(true, predicted, float(np.abs(true - true[0]).max())).compute()
    assert {name: epoch[name] for name in ("r2", "rmse", "mae")} == pytest.approx(
        {name: expected[name] for name in ("r2", "rmse", "mae")}, rel=1e-9, abs=0
    )


def test_resamples_are_those_of_scikit_learn_far_from_zero() -> None:
    true, error = CASES["far"]
    predicted = true + error
    (counts,) = blocks(100, 20, seed=0)
    found = ValueSamples(predicted[:, None], true[:, None]).statistic()(counts)
    for row, weights in enumerate(counts):
        assert found["r2"][row] == pytest.approx(r2_score(true, predicted, sample_weight=weights), rel=1e-9)
        expected = explained_variance_score(true, predicted, sample_weight=weights)
        assert found["explained_variance"][row] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.7e9, 1e-14, 1e200])
def test_equal_targets_have_no_share_to_explain(value: float) -> None:
    true = np.full(90, value)
    for shift, r2, explained in ((0.0, 1.0, 1.0), (abs(value) or 1.0, 0.0, 1.0)):
        predicted = true + shift
        found = ValueSamples(predicted[:, None], true[:, None]).chosen(["r2", "explained_variance"])
        assert found == {"r2": r2, "explained_variance": explained}
        assert state_of(true, predicted, 1.0).compute()["r2"] == r2
    noisy = true + (abs(value) or 1.0) * np.sin(np.arange(90))
    assert ValueSamples(noisy[:, None], true[:, None]).chosen(["r2", "explained_variance"]) == {
        "r2": 0.0,
        "explained_variance": 0.0,
    }


def test_a_square_that_no_float64_holds_is_told() -> None:
    true, error = CASES["tiny squares"]
    samples = ValueSamples((true + error)[:, None], true[:, None])
    assert np.isnan(samples.chosen(["mse"])["mse"])
    assert "too small" in samples.why("mse")
