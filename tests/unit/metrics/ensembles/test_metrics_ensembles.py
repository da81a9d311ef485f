"""Combined outputs, chosen weights, temperatures and diversity, beside formulas, grids and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from dlexp.metrics.ensembles.combination import Combination, combined_predictions, unit_sum
from dlexp.metrics.ensembles.diversity import class_diversity, value_diversity
from dlexp.metrics.ensembles.member_weights import (
    greedy_weights,
    mean_square,
    mixture_loss,
    stacked_mixture,
    stacked_values,
    vote_errors,
)
from dlexp.metrics.ensembles.temperature import fitted_temperature, tempered, true_losses
from dlexp.types import Prediction

Rows = list[list[float]]


def prediction(logits: Rows) -> Prediction:
    found = torch.tensor(logits)
    rows = torch.arange(len(found))
    return Prediction(found.softmax(1), torch.zeros_like(rows), torch.tensor(0.0), rows, logits=found)


def test_probabilities_are_averaged_and_never_logits() -> None:
    """One network that is sure of a class rules the mean of the logits alone, but has one of three probabilities."""
    members = [prediction([[0.0, z]]) for z in (10.0, -1.0, -1.0)]
    found = combined_predictions("probabilities", members, Combination.equal(3))
    assert float(found.outputs[0, 1]) == pytest.approx(0.5126, abs=1e-4)
    assert torch.sigmoid(torch.tensor((10.0 - 1 - 1) / 3)).item() == pytest.approx(0.935, abs=1e-3)
    assert found.logits is not None
    torch.testing.assert_close(found.logits.softmax(1), found.outputs)


def test_a_small_probability_keeps_its_digits() -> None:
    members = [prediction([[0.0, -800.0]]), prediction([[0.0, -810.0]])]
    found = combined_predictions("probabilities", members, Combination.equal(2))
    assert found.logits is not None
    assert float(found.logits[0, 1]) == pytest.approx(-800 + np.log((1 + np.exp(-10)) / 2))


def test_the_loss_of_the_mean_is_at_most_the_mean_loss() -> None:
    generator = np.random.default_rng(0)
    logs = torch.from_numpy(generator.standard_normal((4, 50, 3))).log_softmax(2)
    targets = generator.integers(3, size=50)
    mean = Combination.equal(4).combined("probabilities", logs)
    each = [true_losses(one.numpy(), targets).mean() for one in logs]
    assert true_losses(mean.numpy(), targets).mean() < np.mean(each)


def test_a_vote_counts_classes_and_a_tie_goes_to_the_mean_probability() -> None:
    shares = torch.tensor([[[0.6, 0.4, 0.0]], [[0.1, 0.9, 0.0]], [[0.3, 0.3, 0.4]]], dtype=torch.float64)
    logs = shares.log()
    three = Combination.equal(3)
    tied = Combination(three.weights, is_vote=True).combined("probabilities", logs)
    assert int(tied.argmax()) == 1 == int(three.combined("probabilities", logs).argmax())
    torch.testing.assert_close(tied, torch.full((1, 3), 1 / 3, dtype=torch.float64), atol=2e-6, rtol=0)
    two = Combination((0.6, 0.2, 0.2), is_vote=True).combined("probabilities", logs)
    assert two.tolist() == [[0.6, 0.2, 0.2]]


def test_a_temperature_is_that_of_a_grid_and_undoes_a_scale() -> None:
    generator = np.random.default_rng(1)
    logits = torch.from_numpy(2 * generator.standard_normal((4000, 5)))
    targets = np.array([generator.choice(5, p=row) for row in logits.softmax(1).numpy()])
    sure = (3 * logits).log_softmax(1).numpy()
    found = fitted_temperature(sure, targets)
    grid = np.linspace(2, 4, 401)
    best = grid[np.argmin([true_losses(tempered(sure, t), targets).mean() for t in grid])]
    assert found == pytest.approx(best, abs=0.006)
    assert found == pytest.approx(3, rel=0.05)
    combined = Combination((1.0,), temperature=found).combined("probabilities", torch.from_numpy(sure)[None])
    np.testing.assert_allclose(combined.numpy(), tempered(sure, found), atol=1e-12)


def test_a_temperature_has_limits_and_no_sample_says_one() -> None:
    sure = np.log(np.array([[0.9, 0.1], [0.9, 0.1]]))
    assert fitted_temperature(sure, np.array([0, 0])) == 0.05
    assert fitted_temperature(sure, np.array([1, 1])) == 20.0
    assert fitted_temperature(np.array([[-np.inf, 0.0]]), np.array([0])) == 1.0


def test_greedy_selection_repeats_members_and_is_never_worse_than_the_best() -> None:
    generator = np.random.default_rng(2)
    true = generator.uniform(0.05, 1, (5, 80))
    objective = mixture_loss(true)
    weights = np.array(unit_sum(greedy_weights(objective, 5)))
    singles = [objective(np.eye(5)[k]) for k in range(5)]
    assert objective(weights) < min(singles)
    assert objective(weights) <= objective(np.full(5, 0.2))
    useless = np.stack([true[0], np.full(80, 1e-6)])
    assert greedy_weights(mixture_loss(useless), 2)[1] == 0
    counts = greedy_weights(mean_square(np.stack([np.ones((9, 1)), -3 * np.ones((9, 1))])), 2)
    assert counts == (3, 1)


def test_greedy_votes_are_chosen_by_errors() -> None:
    targets = np.array([0, 1, 0, 1])
    votes = np.eye(2)[np.array([[0, 1, 0, 1], [1, 0, 1, 0]])]
    assert greedy_weights(vote_errors(votes, targets), 2)[1] == 0


def test_stacked_weights_are_those_of_a_grid() -> None:
    generator = np.random.default_rng(3)
    true = generator.uniform(0.01, 1, (2, 60))
    grid = np.linspace(0, 1, 2001)
    losses = [mixture_loss(true)(np.array([w, 1 - w])) for w in grid]
    assert stacked_mixture(true)[0] == pytest.approx(grid[int(np.argmin(losses))], abs=2e-3)
    errors = generator.standard_normal((2, 60, 3)) * np.array([1.0, 1.6])[:, None, None]
    squares = [mean_square(errors)(np.array([w, 1 - w])) for w in grid]
    assert stacked_values(errors)[0] == pytest.approx(grid[int(np.argmin(squares))], abs=2e-3)
    assert sum(stacked_values(errors)) == pytest.approx(1)


def test_a_member_that_only_adds_errors_has_no_stacked_weight() -> None:
    base = np.random.default_rng(4).standard_normal((50, 1))
    assert stacked_values(np.stack([base, 3 * base]))[1] == pytest.approx(0, abs=1e-6)
    assert stacked_mixture(np.array([[0.9, 0.8], [0.1, 0.2]]))[1] == pytest.approx(0, abs=1e-6)


def test_diversity_is_that_of_scikit_learn_and_of_the_formulas() -> None:
    generator = np.random.default_rng(5)
    predicted, targets = generator.integers(3, size=(3, 40)), generator.integers(3, size=40)
    found = class_diversity(predicted, targets)
    pairs = [(0, 1), (0, 2), (1, 2)]
    kappas = [cohen_kappa_score(predicted[a], predicted[b]) for a, b in pairs]
    assert found["kappa"] == pytest.approx(np.mean(kappas))
    assert found["disagreement"] == pytest.approx(np.mean([(predicted[a] != predicted[b]).mean() for a, b in pairs]))
    right = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0]]) == 1
    two = class_diversity(np.where(right, 0, 1), np.zeros(5, np.int64))
    assert two["q_statistic"] == pytest.approx((2 * 1 - 1 * 1) / (2 * 1 + 1 * 1))
    assert two["both_wrong"] == pytest.approx(0.2)
    same = class_diversity(np.zeros((2, 4), np.int64), np.zeros(4, np.int64))
    assert (same["kappa"], same["q_statistic"], same["disagreement"]) == (None, None, 0.0)


def test_the_error_of_a_mean_is_the_mean_error_less_the_ambiguity() -> None:
    generator = np.random.default_rng(6)
    values, true, weights = (
        generator.standard_normal((3, 30, 2)),
        generator.standard_normal((30, 2)),
        np.array([0.5, 0.3, 0.2]),
    )
    found = value_diversity(values, true, weights, np.array([1.0, 1.0]))
    mean_error = ((np.tensordot(weights, values, axes=1) - true) ** 2).mean()
    assert found["member_mse"] is not None and found["ambiguity"] is not None
    assert mean_error == pytest.approx(found["member_mse"] - found["ambiguity"])
    assert found["error_correlation"] is not None


def test_weights_that_are_none_are_refused() -> None:
    for weights in ([0, 0], [1, -1]):
        with pytest.raises(ValueError, match="weights"):
            unit_sum(weights)
