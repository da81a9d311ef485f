"""Every metric of an evaluation is scikit-learn's, on the predictions as they are saved."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from report_of import column_of, lines_of, report, rows_of
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning
from torchmetrics.functional.classification import multiclass_calibration_error

from dlexp.artifacts.files.writing import csv_line
from dlexp.metrics.reports.classes import PER_CLASS
from dlexp.metrics.reports.report import Report
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.types import Prediction

Array = np.ndarray[Any, Any]
NAN = math.nan


def spec_of(num_classes: int) -> DataSpec:
    return DataSpec(TableSpec(2), ClassSpec(tuple(f"c{n}" for n in range(num_classes))))


def of_classes(outputs: Array, targets: Array) -> Report:
    rows = torch.arange(len(targets))
    parts = [slice(0, 1), slice(1, None)] if len(targets) > 1 else [slice(None)]
    return report(
        spec_of(outputs.shape[1]),
        [
            Prediction(torch.from_numpy(outputs[p]), torch.from_numpy(targets[p]), torch.tensor(0.0), rows[p])
            for p in parts
        ],
    )


def softmax(logits: Array) -> Array:
    found: Array = torch.from_numpy(logits).softmax(dim=1).numpy()
    return found


def drawn(count: int, num_classes: int, seed: int, sharp: float = 1.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(num_classes, size=count)
    logits = rng.normal(size=(count, num_classes)) + 1.5 * (np.arange(num_classes) == targets[:, None])
    return softmax((sharp * logits).astype(np.float32)), targets


def shares(outputs: Array) -> Array:
    """Rows that add up to 1, as scikit-learn wants them."""
    found: Array = outputs / outputs.sum(axis=1, keepdims=True)
    return found


def in_parts(outputs: Array, parts: int) -> Array:
    """Probabilities in steps of 1 / parts, so that many are equal, and some 0."""
    whole = shares(outputs.astype(np.float64))
    found: Array = (np.random.default_rng(9).multinomial(parts, whole) / parts).astype(np.float32)
    return found


def missing() -> tuple[Array, Array]:
    outputs, targets = drawn(80, 5, 1)
    return outputs, np.where(targets == 3, 0, targets)


def never_predicted() -> tuple[Array, Array]:
    outputs, targets = drawn(60, 4, 2)
    outputs[:, 2] = 1e-6
    return shares(outputs), targets


def absent() -> tuple[Array, Array]:
    outputs, targets = missing()
    outputs[:, 3] = 1e-6
    return shares(outputs), targets


def one_class() -> tuple[Array, Array]:
    outputs, targets = drawn(30, 3, 3)
    return outputs, np.full_like(targets, 1)


def ties() -> tuple[Array, Array]:
    outputs, targets = drawn(200, 6, 4)
    return in_parts(outputs, 4), targets


def perfect() -> tuple[Array, Array]:
    targets = np.arange(40) % 4
    return np.eye(4, dtype=np.float32)[targets], targets


def constant() -> tuple[Array, Array]:
    return np.tile(np.array([0.5, 0.3, 0.2], dtype=np.float32), (50, 1)), np.arange(50) % 3


CASES: dict[str, Callable[[], tuple[Array, Array]]] = {
    "two classes": lambda: drawn(97, 2, 0),
    "three classes": lambda: drawn(60, 3, 5),
    "ten classes, sure": lambda: drawn(400, 10, 6, sharp=4.0),
    "a class without samples": missing,
    "a class never predicted": never_predicted,
    "a class neither true nor predicted": absent,
    "one class alone": one_class,
    "ties": ties,
    "two classes, ties": lambda: (in_parts(drawn(90, 2, 7)[0], 8), drawn(90, 2, 7)[1]),
    "perfect": perfect,
    "constant": constant,
    "two samples": lambda: drawn(2, 2, 8),
}


def saved(found: Report, num_classes: int) -> tuple[Array, Array, Array]:
    """(true, predicted, probabilities) as a reader of predictions.csv has them."""
    text = "".join(csv_line(row) for row in lines_of(found, "predictions"))
    rows = list(csv.DictReader(io.StringIO(text)))
    numbers = {f"c{n}": n for n in range(num_classes)}
    true, predicted = (np.array([numbers[row[name]] for row in rows]) for name in ("true", "predicted"))
    return true, predicted, np.array([[float(row[f"p(c{n})"]) for n in range(num_classes)] for row in rows])


def ranked(true: Array, p: Array) -> dict[str, float]:
    """One class against the rest: NaN for a mean over classes of which one has no area."""
    support = np.bincount(true, minlength=p.shape[1])
    found = {}
    for name, score in (("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)):
        no_negatives = name == "roc_auc" and (support > 0).sum() == 1
        each = [NAN if not support[c] or no_negatives else score(true == c, p[:, c]) for c in range(p.shape[1])]
        found[name] = each[1] if p.shape[1] == 2 else float(np.mean(each))
        found[f"{name}_weighted"] = float(np.dot(np.nan_to_num(each), support) / support.sum())
        if no_negatives:
            found[f"{name}_weighted"] = NAN
        found |= {f"{name}/{c}": value for c, value in enumerate(each)}
    return found


def scikit_learn(true: Array, predicted: Array, p: Array) -> dict[str, float]:
    """Every metric of a report, by scikit-learn."""
    num_classes, labels = p.shape[1], np.arange(p.shape[1])
    found: dict[str, float] = {
        "accuracy": sk.accuracy_score(true, predicted),
        "balanced_accuracy": sk.recall_score(true, predicted, labels=np.unique(true), average="macro"),
        "cohen_kappa": sk.cohen_kappa_score(true, predicted),
        "matthews_correlation": sk.matthews_corrcoef(true, predicted),
        "log_loss": sk.log_loss(true, p / p.sum(1, keepdims=True), labels=labels),
        "brier": sk.brier_score_loss(true == 1, p[:, 1])
        if num_classes == 2
        else sk.brier_score_loss(true, p / p.sum(1, keepdims=True), labels=labels),
        "calibration_error": float(
            multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(true), num_classes, n_bins=15)
        ),
    }
    for average in ("micro", "macro", "weighted"):
        each = sk.precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
        found |= {f"{kind}_{average}": v for kind, v in zip(("precision", "recall", "f1"), each, strict=False)}
    # Specificity is the recall of not being of a class.
    occurs, support = np.union1d(true, predicted), np.bincount(true, minlength=num_classes)
    cells = sk.multilabel_confusion_matrix(true, predicted, labels=labels)
    negatives = cells[:, 0].sum(axis=1)
    each = np.where(negatives > 0, cells[:, 0, 0] / np.maximum(1, negatives), NAN)
    found["specificity_micro"] = cells[:, 0, 0].sum() / negatives.sum()
    found["specificity_macro"] = each[occurs].mean()
    found["specificity_weighted"] = float((each[support > 0] * support[support > 0]).sum() / len(true))
    for k in (3, 5):
        if k < num_classes:
            # Of equal scores scikit-learn takes the last class first; reversed, it takes the first, as argmax does.
            other = num_classes - 1 - true
            found[f"top_{k}_accuracy"] = sk.top_k_accuracy_score(other, p[:, ::-1], k=k, labels=labels)
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_metric_of_classes_is_scikit_learns(case: str) -> None:
    outputs, targets = CASES[case]()
    found = of_classes(outputs, targets)
    true, predicted, p = saved(found, outputs.shape[1])
    assert np.array_equal(true, targets)
    assert np.array_equal(p, outputs.astype(np.float64))
    areas = ranked(true, p)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", message="A single label was found")
        warnings.filterwarnings("ignore", message="The number of unique classes")
        expected = scikit_learn(true, predicted, p) | {name: v for name, v in areas.items() if "/" not in name}
    values = {name: NAN if value is None else value for name, value in found.metrics.items()}
    if case in ("perfect", "ties", "two classes, ties"):
        # A probability of exactly 0: scikit-learn cuts float64 at 2.2e-16, and here float32 is cut at its smallest.
        expected["log_loss"] = -np.log(np.maximum(p[np.arange(len(true)), true], 1.1754944e-38)).mean()
    assert set(values) == set(expected)
    assert values == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert set(found.undefined) == {name for name, value in expected.items() if math.isnan(value)}
    assert all(found.undefined.values())
    check_classes(found, true, predicted, areas)


def check_classes(found: Report, true: Array, predicted: Array, areas: dict[str, float]) -> None:
    """per_class against scikit-learn, row by row."""
    labels = np.arange(len(rows_of(found, "per_class")))
    each = sk.precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    for c, row in enumerate(rows_of(found, "per_class")):
        cells = dict(zip(PER_CLASS, row, strict=True))
        assert [cells[k] for k in ("precision", "recall", "f1", "support")] == pytest.approx([v[c] for v in each])
        assert cells["predicted"] == (predicted == c).sum()
        for name in ("roc_auc", "average_precision"):
            area = areas[f"{name}/{c}"]
            assert cells[name] == (None if math.isnan(area) else pytest.approx(area, abs=1e-6))
    assert [row[1:] for row in rows_of(found, "confusion")] == sk.confusion_matrix(
        true, predicted, labels=labels
    ).tolist()


def test_what_is_undefined_says_why() -> None:
    found = of_classes(*missing())
    reason = "no sample of the class c3 is in this split"
    assert found.undefined == dict.fromkeys(("roc_auc", "average_precision"), reason)
    assert of_classes(*one_class()).undefined["roc_auc"] == "every sample is of the class c1"
    outputs, targets = drawn(20, 3, 0)
    outputs[[4, 9]] = NAN
    found = of_classes(outputs, targets)
    assert found.undefined["log_loss"] == "2 of 20 samples have outputs that are not finite"
    assert {"roc_auc", "average_precision_weighted", "brier"} <= set(found.undefined)
    assert found.metrics["accuracy"] is not None
    assert "reliability" not in {**found.facts, **found.figures}


def of_values(predicted: Array, true: Array) -> Report:
    names = tuple(f"y{n}" for n in range(true.shape[1]))
    about = DataSpec(TableSpec(2), ValueSpec(names, (0.0,) * len(names), (1.0,) * len(names)))
    parts = [slice(0, 3), slice(3, None)] if len(true) > 3 else [slice(None)]
    rows = torch.arange(len(true))
    return report(
        about,
        [
            Prediction(torch.from_numpy(predicted[p]), torch.from_numpy(true[p]), torch.tensor(0.0), rows[p])
            for p in parts
        ],
    )


def numbers(count: int, outputs: int, scale: float = 1.0, mean: float = 0.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(count)
    true = mean + scale * rng.normal(size=(count, outputs))
    return true + 0.4 * scale * rng.normal(size=true.shape) + 0.1 * scale, true


VALUES: dict[str, Callable[[], tuple[Array, Array]]] = {
    "one target": lambda: numbers(81, 1),
    "three targets": lambda: numbers(50, 3),
    "small units": lambda: numbers(60, 1, scale=1e-4),
    "far from zero": lambda: numbers(60, 2, mean=1e4),
    "a large bias": lambda: (numbers(40, 1)[0] + 1e5, numbers(40, 1)[1]),
    "perfect": lambda: (numbers(30, 1)[1], numbers(30, 1)[1]),
    "constant prediction": lambda: (np.full((30, 1), 0.3), numbers(30, 1)[1]),
    "constant targets": lambda: (numbers(30, 1)[0], np.full((30, 1), 7.5)),
    "ties": lambda: (np.round(numbers(64, 2)[0]), np.round(numbers(64, 2)[1]) + 10),
    "two samples": lambda: numbers(2, 1),
}


@pytest.mark.parametrize("case", VALUES)
def test_every_metric_of_values_is_scikit_learns(case: str) -> None:
    predicted, true = VALUES[case]()
    found = of_values(predicted, true)
    columns = range(true.shape[1])
    saved_true, saved_predicted = (
        np.stack([column_of(found, "predictions", f"{kind} y{n}") for n in columns], axis=1)
        for kind in ("true", "predicted")
    )
    assert np.array_equal(saved_true, true)
    assert np.array_equal(saved_predicted, predicted)
    own = {
        "mse": sk.mean_squared_error,
        "rmse": sk.root_mean_squared_error,
        "mae": sk.mean_absolute_error,
        "median_absolute_error": sk.median_absolute_error,
        "max_error": sk.max_error,
        "mean_error": lambda y, z: (z - y).mean(),
        "r2": sk.r2_score,
        "explained_variance": sk.explained_variance_score,
        "mape": sk.mean_absolute_percentage_error,
    }
    for n in columns:
        expected = {name: float(f(true[:, n], predicted[:, n])) for name, f in own.items()}
        assert found.facts["per_output"][f"y{n}"] == pytest.approx(expected, rel=1e-6, abs=1e-6)
    means = {name: float(np.mean([f(true[:, n], predicted[:, n]) for n in columns])) for name, f in own.items()}
    assert found.metrics == pytest.approx(means, rel=1e-6, abs=1e-6)
    assert found.undefined == {}


def test_a_true_value_of_zero_has_no_percentage_and_one_sample_no_spread() -> None:
    predicted, true = numbers(20, 2)
    true[[3, 7], 1] = 0
    found = of_values(predicted, true)
    assert found.undefined == {"mape": "2 of 20 true values are 0"}
    assert found.facts["per_output"]["y0"]["mape"] == pytest.approx(
        sk.mean_absolute_percentage_error(true[:, 0], predicted[:, 0])
    )
    assert found.facts["per_output"]["y1"]["mape"] is None
    alone = of_values(np.ones((1, 1)), np.full((1, 1), 3.0))
    assert set(alone.undefined) == {"r2", "explained_variance"}
    assert alone.metrics["mae"] == 2.0
    predicted[0] = np.inf
    assert of_values(predicted, true).undefined["rmse"] == "1 of 20 samples are not finite"
