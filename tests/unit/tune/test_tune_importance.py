"""Importances of a study: what sets the best tenth apart, and nothing from too few trials."""

from __future__ import annotations

from typing import Literal

import optuna
import pytest

from dlexp.tune.importance import LEAST_TRIALS, importances


def study(count: int, direction: Literal["minimize", "maximize"] = "minimize", low: float = -1.0) -> optuna.Study:
    """Trials that x alone decides, in the direction of the study; y has no part in it."""
    made = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))
    sign = 1 if direction == "minimize" else -1
    made.optimize(lambda t: sign * t.suggest_float("x", low, 1.0) ** 2 + 0 * t.suggest_float("y", low, 1.0), count)
    return made


@pytest.mark.parametrize("count", [0, 1, 8, LEAST_TRIALS - 1])
def test_too_few_trials_say_nothing(count: int) -> None:
    made = study(count)
    made.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))  # which counts for nothing
    assert importances(made) == {}


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_sets_the_best_tenth_apart_counts(direction: Literal["minimize", "maximize"]) -> None:
    found = importances(study(100, direction))
    assert found["x"] > 0.9
    assert sum(found.values()) == pytest.approx(1.0)
    assert importances(study(LEAST_TRIALS, direction)).keys() == {"x", "y"}


def test_a_space_in_which_nothing_varies_says_nothing() -> None:
    assert importances(study(LEAST_TRIALS, low=1.0)) == {}
