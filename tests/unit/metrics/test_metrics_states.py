from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from report_of import column_of, report, rows_of
from sklearn import metrics as sk

from dlexp.metrics.states import ClassificationState, MetricState, RegressionState
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.types import Prediction

SIZES = (7, 16, 1, 9)


def spec(num_classes: int) -> DataSpec:
    return DataSpec(TableSpec(2), ClassSpec(tuple(f"c{n}" for n in range(num_classes))))


def classes(num_classes: int, occurring: int | None = None, seed: int = 0) -> list[Prediction]:
    """Uneven batches; of the classes only the first `occurring` are true, and only they are predicted."""
    rng, first, found = torch.Generator().manual_seed(seed), 0, []
    occurring = occurring or num_classes
    for size in SIZES:
        logits = torch.randn(size, num_classes, generator=rng)
        logits[:, occurring:] = -30
        targets = torch.randint(occurring, (size,), generator=rng)
        logits[torch.arange(size), targets] += 1
        probabilities = logits.softmax(1)
        loss = -probabilities.gather(1, targets[:, None]).log().mean()
        found.append(Prediction(probabilities, targets, loss, torch.arange(first, first + size)))
        first += size
    return found


def values(outputs: int, scale: float = 1.0, mean: float = 0.0) -> list[Prediction]:
    rng, found = torch.Generator().manual_seed(1), []
    for size in SIZES:
        targets = mean + scale * torch.randn(size, outputs, generator=rng, dtype=torch.float64)
        guesses = targets + 0.5 * scale * torch.randn(size, outputs, generator=rng, dtype=torch.float64)
        loss = ((guesses - targets) / scale).square().mean()
        found.append(Prediction(guesses, targets, loss, torch.arange(size)))
    return found


def joined(predictions: list[Prediction]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(true, predicted) over all batches."""
    return (
        torch.cat([p.known_targets for p in predictions]).numpy(),
        torch.cat([p.outputs for p in predictions]).double().numpy(),
    )


def computed(state: MetricState, predictions: list[Prediction]) -> dict[str, float]:
    for prediction in predictions:
        state.update(prediction)
    return state.compute()


def sk_classes(predictions: list[Prediction]) -> dict[str, float]:
    true, probabilities = joined(predictions)
    guess = probabilities.argmax(1)
    return {
        "loss": float(-np.log(probabilities[np.arange(len(true)), true]).mean()),
        "accuracy": float(sk.accuracy_score(true, guess)),
        "balanced_accuracy": float(sk.recall_score(true, guess, labels=np.unique(true), average="macro")),
        "f1_macro": float(sk.f1_score(true, guess, average="macro")),
    }


def sk_values(predictions: list[Prediction]) -> dict[str, float]:
    true, guess = joined(predictions)
    return {
        "mae": float(sk.mean_absolute_error(true, guess)),
        "rmse": float(sk.root_mean_squared_error(true, guess)),
        "r2": float(sk.r2_score(true, guess)),
    }


@pytest.mark.parametrize(("num_classes", "occurring"), [(2, 2), (3, 3), (10, 10), (5, 3), (4, 1)])
def test_classes_are_measured_as_scikit_learn_does(num_classes: int, occurring: int) -> None:
    predictions = classes(num_classes, occurring)
    found = computed(ClassificationState(num_classes), predictions)
    assert found == pytest.approx(sk_classes(predictions), abs=1e-6)


def test_a_class_that_is_predicted_and_never_true_counts_in_f1_alone() -> None:
    outputs = torch.eye(3)[[0, 0, 1, 2]]
    prediction = Prediction(outputs, torch.tensor([0, 0, 1, 1]), torch.tensor(0.0), torch.arange(4))
    found = computed(ClassificationState(3), [prediction])
    # recall of the two classes that occur: 1, 1/2; f1 of all three: 1, 2/3, 0
    assert (found["accuracy"], found["balanced_accuracy"]) == (0.75, 0.75)
    assert found["f1_macro"] == pytest.approx(5 / 9)


@pytest.mark.parametrize("outputs", [1, 3])
def test_values_are_measured_as_scikit_learn_does(outputs: int) -> None:
    predictions = values(outputs)
    found = computed(RegressionState(outputs), predictions)
    assert {name: found[name] for name in ("mae", "rmse", "r2")} == pytest.approx(sk_values(predictions), abs=1e-6)
    weighted = sum(float(p.loss) * n for p, n in zip(predictions, SIZES, strict=True)) / sum(SIZES)
    assert found["loss"] == pytest.approx(weighted)


@pytest.mark.parametrize(("scale", "mean"), [(1e-4, 0.0), (1e6, 0.0), (1.0, 1e4)])
def test_r2_does_not_depend_on_unit_or_offset(scale: float, mean: float) -> None:
    predictions = values(1, scale, mean)
    true, guess = joined(predictions)
    expected = float(sk.r2_score(true, guess))
    assert computed(RegressionState(1), predictions)["r2"] == pytest.approx(expected, abs=1e-6)
    about = DataSpec(TableSpec(2), ValueSpec(("y",), (0.0,), (1.0,)))
    assert report(about, predictions).facts["per_output"]["y"]["r2"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("error", "r2"), [(0.0, 1.0), (0.5, 0.0)])
def test_r2_of_targets_that_are_all_the_same(error: float, r2: float) -> None:
    targets = torch.full((5, 1), 7.3)
    prediction = Prediction(targets + error, targets, torch.tensor(0.0), torch.arange(5))
    assert computed(RegressionState(1), [prediction])["r2"] == r2
    about = DataSpec(TableSpec(2), ValueSpec(("y",), (0.0,), (1.0,)))
    assert report(about, [prediction]).facts["per_output"]["y"]["r2"] == r2


@pytest.mark.parametrize("make", [ClassificationState, RegressionState])
def test_merged_states_are_one_over_all_samples(make: type[ClassificationState] | type[RegressionState]) -> None:
    predictions = classes(3) if make is ClassificationState else values(3)
    whole, left, right = make(3), make(3), make(3)
    expected = computed(whole, predictions)
    computed(left, predictions[:3])
    computed(right, predictions[3:])
    merge(left, right)
    assert left.compute() == pytest.approx(expected, rel=1e-12)


def merge(left: MetricState, right: MetricState) -> None:
    left.merge(right)


@pytest.mark.parametrize("state", [ClassificationState(3), RegressionState(1)])
def test_no_sample_is_an_error(state: MetricState) -> None:
    with pytest.raises(ValueError, match="no sample"):
        state.compute()


@pytest.mark.parametrize(("num_classes", "occurring"), [(3, 3), (10, 10), (5, 3)])
def test_the_report_agrees_with_the_states(num_classes: int, occurring: int) -> None:
    predictions = classes(num_classes, occurring)
    found = report(spec(num_classes), predictions).metrics
    state = computed(ClassificationState(num_classes), predictions)
    assert {name: found[name] for name in state if name != "loss"} == pytest.approx(
        {name: value for name, value in state.items() if name != "loss"}, abs=1e-9
    )
    assert found["log_loss"] == pytest.approx(state["loss"], abs=1e-6)


def test_the_report_of_values_agrees_with_the_states_output_by_output() -> None:
    predictions = values(2)
    about = DataSpec(TableSpec(2), ValueSpec(("height", "weight"), (0.0, 0.0), (1.0, 1.0)))
    found = report(about, predictions)
    true, guess = joined(predictions)
    for number, name in enumerate(about.output_names):
        column = [
            Prediction(p.outputs[:, [number]], p.known_targets[:, [number]], p.loss, p.indices) for p in predictions
        ]
        state = computed(RegressionState(1), column)
        own = found.facts["per_output"][name]
        assert {kind: own[kind] for kind in ("mae", "rmse", "r2")} == pytest.approx(
            {kind: state[kind] for kind in ("mae", "rmse", "r2")}, abs=1e-9
        )
        assert column_of(found, "predictions", f"true {name}") == true[:, number].tolist()
        assert column_of(found, "predictions", f"predicted {name}") == guess[:, number].tolist()
    header = found.tables["predictions"].header
    assert header == [
        "row",
        "true height",
        "predicted height",
        "true weight",
        "predicted weight",
    ]


def test_a_row_of_predictions_names_sample_classes_and_probabilities() -> None:
    outputs = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    found = report(spec(2), [Prediction(outputs, torch.tensor([0, 0]), torch.tensor(0.0), torch.tensor([41, 7]))])
    header = found.tables["predictions"].header
    assert header == [
        "row",
        "true",
        "predicted",
        "confidence",
        "log_loss",
        "p(c0)",
        "p(c1)",
    ]
    assert rows_of(found, "predictions") == [
        [41, "c0", "c1", 0.75, -math.log(0.25), 0.25, 0.75],
        [7, "c0", "c0", 0.5, -math.log(0.5), 0.5, 0.5],
    ]
    assert rows_of(found, "confusion") == [["c0", 1, 1], ["c1", 0, 0]]


def test_a_probability_of_zero_for_the_true_class_keeps_the_log_loss_finite() -> None:
    certain = Prediction(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), torch.tensor(0.0), torch.tensor([0]))
    assert report(spec(2), [certain]).metrics["log_loss"] == pytest.approx(87.336, abs=0.01)
