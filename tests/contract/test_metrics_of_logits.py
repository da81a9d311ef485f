"""A network that is sure is ranked by its logits: its probabilities are 1 and 0 alone, and rank nothing."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest
import torch
from report_of import column_of, curves_of, lines_of, rows_of
from scipy.special import logsumexp
from sklearn import metrics as sk
from torch import nn

from dlexp.artifacts.files.writing import csv_line
from dlexp.engine.evaluate import evaluate
from dlexp.losses.binary import BCE
from dlexp.losses.classification import KL, CrossEntropy, Focal
from dlexp.losses.output_decoding import Softmax
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.classes import PER_CLASS
from dlexp.metrics.reports.figures import SampleImages
from dlexp.metrics.reports.report import Report
from dlexp.runtime.precision import Precision
from dlexp.specs import ClassSpec, DataSpec, TableSpec
from dlexp.tasks.classification import Classification
from dlexp.types import Batch, Prediction
from dlexp.workflows.compare.predictions import metrics_of, scorer

Array = np.ndarray[Any, Any]
FP32 = Precision("fp32", "cpu", "")


def spec(num_classes: int) -> DataSpec:
    names = tuple(f"c{n}" for n in range(num_classes))
    counts = (9,) * num_classes
    return DataSpec(TableSpec(num_classes), ClassSpec(names, counts))


def drawn(num_classes: int, count: int = 300, scale: float = 60.0) -> tuple[Array, Array]:
    """float32 logits so far apart that float32 probabilities are 0 and 1, and targets that they often miss."""
    rng = np.random.default_rng(num_classes)
    targets = rng.integers(num_classes, size=count)
    logits = rng.normal(size=(count, num_classes)) + 1.2 * (np.arange(num_classes) == targets[:, None])
    return (scale * logits).astype(np.float32), targets


def task_of(logits: Array, targets: Array, loss: nn.Module) -> tuple[Classification, dict[str, float], Report]:
    """The report of a network that puts out `logits`, and the metrics of an epoch that monitors them."""
    task = Classification(spec=spec(max(2, logits.shape[1])), loss=loss)
    inputs, numbers = torch.from_numpy(logits), torch.from_numpy(targets)
    batches = [Batch(inputs[p], numbers[p], torch.arange(len(targets))[p]) for p in (slice(0, 7), slice(7, None))]
    networks = nn.ModuleDict({"model": nn.Identity()})
    wanted = ("roc_auc", "average_precision", "log_loss", "brier")
    epoch = evaluate(task, networks, batches, FP32, task.metric_state(wanted), seed=0).metrics
    found = evaluate(task, networks, batches, FP32, task.report_state(), seed=0)
    return task, epoch, task.report(spec(max(2, logits.shape[1])), found.state, Resampling(100))


def log_odds(logits: Array) -> Array:
    """Of each class against the rest, in extended precision."""
    wide = logits.astype(np.longdouble)
    others = [logsumexp(np.delete(wide, c, axis=1), axis=1) for c in range(logits.shape[1])]
    found: Array = (wide - np.stack(others, axis=1)).astype(np.float64)
    return found


def table(found: Report) -> dict[str, list[str]]:
    text = "".join(csv_line(row) for row in lines_of(found, "predictions"))
    header, *lines = list(csv.reader(io.StringIO(text)))
    return {name: [line[n] for line in lines] for n, name in enumerate(header)}


@pytest.mark.parametrize("num_classes", [2, 3, 12])
def test_a_sure_network_is_ranked_as_scikit_learn_ranks_its_logits(num_classes: int) -> None:
    logits, targets = drawn(num_classes)
    assert (torch.from_numpy(logits).softmax(1) == 1).any(1).float().mean() > 0.5  # what used to be ranked
    _, epoch, found = task_of(logits, targets, CrossEntropy())
    odds = log_odds(logits)
    rows = [dict(zip(PER_CLASS, row, strict=True)) for row in rows_of(found, "per_class")]
    scores = (("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score))
    for name, score in scores:
        each = [score(targets == c, odds[:, c]) for c in range(num_classes)]
        assert [row[name] for row in rows] == pytest.approx(each, abs=1e-12)
        expected = each[1] if num_classes == 2 else np.mean(each)
        assert found.metrics[name] == pytest.approx(expected, abs=1e-12)
        assert epoch[name] == found.metrics[name]
        interval = found.intervals[name]
        assert interval.low is not None and interval.high is not None
        assert interval.low < expected < interval.high
    for c, curve in ((int(name[1:]), curve) for name, curve in curves_of(found).items()):
        false, true, _ = sk.roc_curve(targets == c, odds[:, c], drop_intermediate=False)
        assert curve.false_positive_rate == pytest.approx(false)
        assert curve.recall == pytest.approx(true)
    for k in (3, 5):
        if k < num_classes:
            expected = sk.top_k_accuracy_score(targets, logits, k=k, labels=np.arange(num_classes))
            assert found.metrics[f"top_{k}_accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_losses_and_probabilities_of_a_sure_network_keep_their_digits(num_classes: int) -> None:
    logits, targets = drawn(num_classes)
    _, _, found = task_of(logits, targets, CrossEntropy())
    wide = logits.astype(np.longdouble)
    log_p = wide - logsumexp(wide, axis=1, keepdims=True)
    own = log_p[np.arange(len(targets)), targets].astype(np.float64)
    losses = np.array(column_of(found, "predictions", "log_loss"))
    assert losses == pytest.approx(-own, rel=1e-12, abs=1e-15)
    odds = log_odds(logits)[np.arange(len(targets)), targets]
    sure = odds > 40  # where 1 - p is below the last digit of 1
    assert sure.any()
    assert losses[sure] == pytest.approx(np.exp(-odds[sure]), rel=1e-9)
    assert found.metrics["log_loss"] == pytest.approx(-own.mean())
    p = np.exp(log_p).astype(np.float64)
    truth = np.eye(num_classes)[targets]
    squares = (p - truth) ** 2
    assert found.metrics["brier"] == pytest.approx((squares[:, 1] if num_classes == 2 else squares.sum(1)).mean())
    saved = table(found)
    shown = np.array([[float(cell) for cell in saved[f"p(c{c})"]] for c in range(num_classes)]).T
    assert shown == pytest.approx(p, rel=1e-10, abs=0)
    assert (shown > 0).all()  # float32 calls many of them 0
    score = scorer("log_loss", metrics_of(saved, None))[1]
    assert score({"log_loss": np.array(saved["log_loss"], np.float64)}) == pytest.approx(-own)
    wrong = np.flatnonzero(logits.argmax(1) != targets)
    mistakes = rows_of(found, "mistakes")  # the number of a sample is its position here
    assert [row[0] for row in mistakes] == wrong[np.argsort(own[wrong], kind="stable")][:100].tolist()
    assert not any(row[3] == 0 for row in mistakes)


def test_a_probability_beyond_every_float_still_has_its_loss_and_place() -> None:
    logits = np.array([[0, 900, 300, 1], [900, 0, 100, 200]], dtype=np.float32)
    task, _, found = task_of(logits, np.array([2, 1]), CrossEntropy())
    assert column_of(found, "predictions", "log_loss") == pytest.approx([600.0, 900.0])
    assert found.metrics["top_3_accuracy"] == 0.5
    images = found.figures["mistakes"]
    assert isinstance(images, SampleImages)
    captions = [caption[2] for caption in images.captions]
    assert captions == ["p < 1e-307 → 1", "p 2.7e-261 → 1"]
    values, zero, rows = torch.from_numpy(logits), torch.tensor(0.0), torch.arange(2)
    wide = Prediction(values.softmax(1), torch.tensor([2, 1]), zero, rows, logits=values)
    first = task.prediction_columns(spec(4), wide).top(("a", "b", "c", "d"), 4)
    assert [first[f"top_{n}"][1] for n in (1, 2, 3, 4)] == ["a", "d", "c", "b"]


@pytest.mark.parametrize("loss", [BCE(), Focal(), KL(temperature=2.0)])
def test_every_reading_is_ranked_by_what_it_reads(loss: nn.Module) -> None:
    logits, targets = drawn(2)
    logits = logits[:, 1:] - logits[:, :1] if isinstance(loss, BCE) else logits
    _, epoch, found = task_of(logits, targets, loss)
    score = logits[:, -1].astype(np.float64) - (logits[:, 0] if logits.shape[1] > 1 else 0)
    assert found.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(targets, score), abs=1e-12)
    divisor = 2.0 if isinstance(loss, KL) else 1.0
    losses = np.logaddexp(0, np.where(targets == 1, -1, 1) * score / divisor)
    assert column_of(found, "predictions", "log_loss") == pytest.approx(losses)
    assert epoch["accuracy"] == found.metrics["accuracy"] == pytest.approx(((score > 0) == targets).mean())


def test_equal_logits_share_a_threshold() -> None:
    targets = np.arange(60) % 3
    _, _, constant = task_of(np.tile(np.array([1.5, 0.25, -7.0], np.float32), (60, 1)), targets, CrossEntropy())
    assert [row[PER_CLASS.index("roc_auc")] for row in rows_of(constant, "per_class")] == [0.5] * 3
    logits = np.round(drawn(2, scale=2.0)[0])
    targets = drawn(2)[1]
    _, _, found = task_of(logits, targets, CrossEntropy())
    assert found.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(targets, logits[:, 1] - logits[:, 0]), abs=1e-12)


class Squared(Softmax):
    """Probabilities of another kind: a reading that only says `read`."""

    def decode(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.square() / outputs.square().sum(dim=1, keepdim=True)


class OwnLoss(CrossEntropy):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = Squared()


class OwnTask(Classification):
    """A task that reads what the network puts out in its own way."""

    def decode(self, outputs: torch.Tensor) -> torch.Tensor:
        return (-outputs).softmax(dim=1)


def test_a_reading_or_task_of_ones_own_is_known_by_its_probabilities() -> None:
    logits, targets = drawn(3, scale=1.0)
    _, _, found = task_of(logits, targets, OwnLoss())
    shares = logits.astype(np.float64) ** 2 / (logits.astype(np.float64) ** 2).sum(1, keepdims=True)
    assert found.metrics["log_loss"] == pytest.approx(sk.log_loss(targets, shares), rel=1e-5)
    task = OwnTask(spec=spec(3), loss=CrossEntropy())
    batch = Batch(torch.from_numpy(logits), torch.from_numpy(targets), torch.arange(len(targets)))
    prediction = task.predict({"model": nn.Identity()}, batch)
    assert prediction.logits is None
    state = task.report_state()
    state.update(prediction)
    assert task.report(spec(3), state).metrics["accuracy"] == pytest.approx((logits.argmin(1) == targets).mean())
