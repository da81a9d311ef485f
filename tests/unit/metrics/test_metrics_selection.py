"""Metrics that a run names: scikit-learn's values, intervals around them, and states of halves that are the whole."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import ClassSampleState
from dlexp.metrics.regression import ValueSampleState
from dlexp.metrics.selection.base import OutputState, SelectedMetric, SelectionState, SplitSamples
from dlexp.metrics.selection.classes import class_metric
from dlexp.metrics.selection.function import FunctionError, UserMetric
from dlexp.metrics.selection.request import MetricRequest
from dlexp.metrics.selection.values import value_metric
from dlexp.types import Prediction

Array = np.ndarray[Any, Any]
NAMES = tuple("abcdefghi")
TARGETS = ("height", "weight")
COSTS = (1.0 - np.eye(9)) * np.arange(1, 10)[:, None]


def request(word: str, **arguments: Any) -> MetricRequest:
    """The request that the configuration makes of a name."""
    base, _, output = word.partition("[")
    return MetricRequest(word, base, output.removesuffix("]"), "", "max", arguments)


def classes() -> tuple[Array, Array]:
    """Probabilities (400, 9) and class numbers (400,) of which the last class is rare."""
    rng = np.random.default_rng(1)
    targets = rng.choice(9, size=400, p=[0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05, 0.04, 0.01])
    logits = rng.normal(size=(400, 9)) + 2.0 * np.eye(9)[targets]
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), targets


def values() -> tuple[Array, Array]:
    """Predicted and true values (300, 2), all of them positive."""
    rng = np.random.default_rng(2)
    true = rng.gamma(2.0, 3.0, size=(300, 2))
    return np.abs(true + rng.normal(size=true.shape)), true


def state_of(outputs: Array, targets: Array, metric: SelectedMetric, bounds: slice = slice(None)) -> SelectionState:
    is_class = targets.ndim == 1
    samples = ClassSampleState(9, is_probabilistic=True, keeps_outputs=True) if is_class else ValueSampleState()
    found = SelectionState(samples, [metric])
    rows = np.arange(len(targets))[bounds]
    for part in np.array_split(rows, 3):
        found.update(
            Prediction(
                torch.from_numpy(outputs[part]),
                torch.from_numpy(targets[part]),
                torch.tensor(0.0),
                torch.from_numpy(part),
            )
        )
    return found


def one(number: int, score: Callable[..., float], **more: Any) -> Callable[[Array, Array], float]:
    """A score of scikit-learn of class `number` alone, by predicted classes."""
    return lambda p, t: float(score(t == number, p.argmax(1) == number, zero_division=0.0, **more))


OF_CLASSES: Sequence[tuple[MetricRequest, Callable[[Array, Array], float]]] = (
    (request("recall[b]"), one(1, sk.recall_score)),
    (request("precision[b]"), one(1, sk.precision_score)),
    (request("f1[b]"), one(1, sk.f1_score)),
    (request("specificity[b]"), one(1, sk.recall_score, pos_label=0)),
    (request("fbeta[b]", beta=2.0), one(1, sk.fbeta_score, beta=2.0)),
    *(
        (
            request("fbeta", beta=0.5, average=average),
            lambda p, t, a=average: float(sk.fbeta_score(t, p.argmax(1), beta=0.5, average=a, zero_division=0.0)),
        )
        for average in ("macro", "weighted", "micro")
    ),
    (request("roc_auc[c]"), lambda p, t: float(sk.roc_auc_score(t == 2, p[:, 2]))),
    (request("average_precision[c]"), lambda p, t: float(sk.average_precision_score(t == 2, p[:, 2]))),
    (request("top_4_accuracy"), lambda p, t: float(sk.top_k_accuracy_score(t, p, k=4))),
    (
        request("cost", matrix=COSTS.tolist()),
        lambda p, t: float((sk.confusion_matrix(t, p.argmax(1), labels=range(9)) * COSTS).sum() / len(t)),
    ),
)
OF_VALUES: Sequence[tuple[MetricRequest, Callable[[Array, Array], float]]] = (
    (request("mae[weight]"), lambda p, t: float(sk.mean_absolute_error(t[:, 1], p[:, 1]))),
    (request("r2[height]"), lambda p, t: float(sk.r2_score(t[:, 0], p[:, 0]))),
    (request("quantile_loss", q=0.9), lambda p, t: float(sk.mean_pinball_loss(t, p, alpha=0.9))),
    (request("quantile_loss[height]", q=0.1), lambda p, t: float(sk.mean_pinball_loss(t[:, 0], p[:, 0], alpha=0.1))),
    (request("rmsle"), lambda p, t: float(sk.root_mean_squared_log_error(t, p))),
    (request("rmsle[weight]"), lambda p, t: float(sk.root_mean_squared_log_error(t[:, 1], p[:, 1]))),
    (request("within", tolerance=1.0), lambda p, t: float((np.abs(p - t) <= 1).mean())),
    (
        request("within[height]", tolerance=1.0),
        lambda p, t: float(sk.accuracy_score(np.ones(300), np.abs(p[:, 0] - t[:, 0]) <= 1)),
    ),
)
CASES = [(*each, *classes()) for each in OF_CLASSES] + [(*each, *values()) for each in OF_VALUES]


def metric_of(wanted: MetricRequest, targets: Array) -> SelectedMetric:
    return class_metric(wanted, NAMES) if targets.ndim == 1 else value_metric(wanted, TARGETS)


@pytest.mark.parametrize("wanted, expected, outputs, targets", CASES, ids=[str(case[0].name) for case in CASES])
def test_a_named_metric_is_that_of_scikit_learn(
    wanted: MetricRequest, expected: Callable[[Array, Array], float], outputs: Array, targets: Array
) -> None:
    metric = metric_of(wanted, targets)
    found = state_of(outputs, targets, metric).compute()
    assert found == {wanted.name: pytest.approx(expected(outputs, targets), rel=1e-9)}


@pytest.mark.parametrize("wanted, expected, outputs, targets", CASES, ids=[str(case[0].name) for case in CASES])
def test_the_merged_halves_are_the_whole_and_an_interval_is_around_the_value(
    wanted: MetricRequest, expected: Callable[[Array, Array], float], outputs: Array, targets: Array
) -> None:
    metric = metric_of(wanted, targets)
    whole = state_of(outputs, targets, metric)
    first = state_of(outputs, targets, metric, slice(0, 100))
    first.merge(pickle.loads(pickle.dumps(state_of(outputs, targets, metric, slice(100, None)))))
    assert first.compute() == whole.compute()
    kind = ClassSampleState if targets.ndim == 1 else ValueSampleState
    samples = SplitSamples(whole.part(kind))
    known: dict[str, Any] = {}
    if wanted.base in ("mae", "r2"):
        return  # that of the report
    sure = metric.interval(samples, Resampling(200), known)
    assert sure.low is not None and sure.high is not None, sure
    assert sure.low < expected(outputs, targets) < sure.high
    assert metric.interval(samples, Resampling(200), known) == sure


def test_a_class_without_samples_has_no_recall_and_says_why() -> None:
    outputs, targets = classes()
    kept = targets != 1
    metric = class_metric(request("recall[b]"), NAMES)
    state = state_of(outputs[kept], targets[kept], metric)
    assert np.isnan(state.compute()["recall[b]"])
    assert "b" in metric.undefined(torch.from_numpy(targets[kept]))
    assert "b" in metric.why(SplitSamples(state.part(ClassSampleState)))
    assert metric.undefined(torch.from_numpy(targets)) == ""


def test_a_quantile_that_the_task_predicts_is_scored_as_that_quantile() -> None:
    predicted, true = values()
    metric = value_metric(request("quantile_loss", q=0.9), TARGETS)
    state = SelectionState(ValueSampleState(), [metric])
    upper = torch.from_numpy(predicted + 1.5)
    rows = torch.arange(len(true))
    state.update(
        Prediction(torch.from_numpy(predicted), torch.from_numpy(true), torch.tensor(0.0), rows, {"q0.9": upper})
    )
    expected = sk.mean_pinball_loss(true, upper.numpy(), alpha=0.9)
    assert state.compute()["quantile_loss"] == pytest.approx(expected, rel=1e-12)


def test_values_of_minus_one_have_no_logarithm_and_say_so() -> None:
    metric = value_metric(request("rmsle"), TARGETS)
    predicted, true = values()
    predicted[7, 0] = -1.5
    state = state_of(predicted, true, metric)
    assert np.isnan(state.compute()["rmsle"])
    assert metric.why(SplitSamples(state.part(ValueSampleState))).startswith("1 of 300")
    assert metric.undefined(torch.tensor([[-1.0, 2.0]])).startswith("1 of 1")


def mean_chance(predictions: Array, targets: Array) -> float:
    """A function of the user: the mean probability of the true class."""
    assert predictions.dtype == np.float64
    return float(predictions[np.arange(len(targets)), targets].mean())


def user_metric(function: Callable[..., Any], **arguments: Any) -> UserMetric:
    wanted = MetricRequest("chance", target="my.chance", direction="max")
    return UserMetric(wanted, function, arguments, lambda error: "my.py:7")


def test_a_function_gets_all_samples_once_and_its_interval_is_that_of_the_bootstrap() -> None:
    outputs, targets = classes()
    metric = user_metric(mean_chance)
    state = state_of(outputs, targets, metric)
    value = state.compute()["chance"]
    assert value == pytest.approx(mean_chance(outputs, targets))
    sure = metric.interval(SplitSamples(state.part(ClassSampleState)), Resampling(400), {})
    own = outputs[np.arange(400), targets]
    error = 1.96 * own.std() / np.sqrt(400)
    assert sure.method == "percentile" and sure.low is not None and sure.high is not None
    assert (sure.low, sure.high) == pytest.approx((value - error, value + error), abs=0.15 * error)


def test_what_a_function_changes_in_its_arrays_changes_no_other_metric() -> None:
    def spoil(predictions: Array, targets: Array) -> float:
        predictions[:] = 0
        targets[:] = 0
        return 1.0

    for outputs, targets in (classes(), values()):
        metric = user_metric(spoil)
        state = state_of(outputs, targets, metric)
        assert state.compute() == {"chance": 1.0}
        kind = ClassSampleState if targets.ndim == 1 else ValueSampleState
        samples = SplitSamples(state.part(kind))
        kept = samples.classes.targets if samples.classes else samples.values.true  # type: ignore[union-attr]
        assert np.array_equal(kept, targets)


@pytest.mark.parametrize(
    "returned, what",
    [("text", "str"), (np.zeros(3), "(3,)"), (None, "NoneType"), ([1.0], "(1,)"), (1j, "complex")],
    ids=str,
)
def test_a_function_that_returns_no_number_is_refused_by_name(returned: Any, what: str) -> None:
    outputs, targets = classes()
    with pytest.raises(FunctionError) as caught:
        user_metric(lambda p, t: returned).called(outputs, targets)
    assert "my.chance" in caught.value.rule and what in caught.value.rule


@pytest.mark.parametrize("returned", [1, 1.5, np.float32(2), torch.tensor(3.0), True])
def test_numbers_of_any_kind_are_numbers(returned: Any) -> None:
    assert user_metric(lambda p, t: returned).called(*classes()) == float(returned)


def test_a_function_that_raises_in_a_resample_has_no_interval_and_says_where() -> None:
    def picky(predictions: Array, targets: Array) -> float:
        if len(np.unique(targets)) < 9:
            raise ValueError("a class is missing")
        return 1.0

    outputs, targets = classes()
    metric = user_metric(picky)
    samples = SplitSamples(state_of(outputs, targets, metric).part(ClassSampleState))
    sure = metric.interval(samples, Resampling(200), {})
    assert sure.low is None and "a class is missing" in sure.reason and "my.py:7" in sure.reason


def test_a_function_is_not_called_on_outputs_that_are_not_finite() -> None:
    outputs, targets = values()
    outputs[3, 1] = np.nan

    def never(predictions: Array, targets: Array) -> float:
        raise AssertionError

    metric = user_metric(never)
    state = state_of(outputs, targets, metric)
    assert np.isnan(state.compute()["chance"])
    assert metric.why(SplitSamples(state.part(ValueSampleState))).startswith("1 of 300")


def test_outputs_of_any_shape_are_kept_for_a_function() -> None:
    state = SelectionState(OutputState(), [user_metric(lambda p, t: float((p.argmax(1) == t).mean()))])
    masks = torch.zeros(4, 2, 3, 3)
    masks[:, 1] = 1
    targets = torch.ones(4, 3, 3, dtype=torch.int64)
    state.update(Prediction(masks, targets, torch.tensor(0.0), torch.arange(4)))
    assert state.compute() == {"chance": 1.0}


def test_the_default_configuration_names_no_metric() -> None:
    assert load([], Catalog()).metrics == ()
