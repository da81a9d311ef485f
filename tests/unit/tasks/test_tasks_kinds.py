from __future__ import annotations

import pytest
import torch
from torch import nn

from dlexp.losses.classification import CrossEntropy
from dlexp.losses.regression import MSE
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.tasks.classification import Classification
from dlexp.tasks.regression import Regression
from dlexp.types import Batch

CLASSES = DataSpec(TableSpec(2), ClassSpec(("a", "b", "c")))
VALUES = DataSpec(TableSpec(2), ValueSpec(("y", "z"), (100.0, -2.0), (50.0, 0.5)))


class Fixed(nn.Module):
    """Puts out what it was given, whatever comes in."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outputs


def batch(targets: torch.Tensor) -> Batch:
    return Batch(torch.zeros(len(targets), 2), targets, torch.arange(10, 10 + len(targets)))


LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 2, 2])


def test_classification_learns_from_logits_and_tells_its_accuracy() -> None:
    task = Classification(spec=CLASSES, loss=CrossEntropy())
    network = Fixed(LOGITS)
    found = task.loss("train", {"model": network}, batch(LABELS))
    torch.testing.assert_close(found.value, -LOGITS.log_softmax(1)[torch.arange(4), LABELS].mean())
    assert found.parts["accuracy"].float().mean().item() == 0.75
    assert not found.parts["accuracy"].requires_grad
    found.value.backward()
    assert network.outputs.grad is not None


def test_classification_predicts_probabilities() -> None:
    task = Classification(spec=CLASSES, loss=CrossEntropy(0.1))
    found = task.predict({"model": Fixed(LOGITS.bfloat16())}, batch(LABELS))
    torch.testing.assert_close(found.outputs, LOGITS.softmax(1))
    assert torch.equal(found.known_targets, LABELS)
    assert found.indices.tolist() == [10, 11, 12, 13]


def test_regression_learns_standardized_values() -> None:
    task = Regression(spec=VALUES, loss=MSE())
    targets = torch.tensor([[150.0, -2.0], [100.0, -1.0]])  # standardized: (1, 0), (0, 2)
    found = task.loss("train", {"model": Fixed(torch.zeros(2, 2))}, batch(targets))
    assert found.value.item() == pytest.approx((1 + 0 + 0 + 4) / 4)


def test_regression_predicts_in_the_units_of_the_target() -> None:
    task = Regression(spec=VALUES, loss=MSE())
    targets = torch.tensor([[150.0, -2.0]])
    found = task.predict({"model": Fixed(torch.tensor([[1.0, 2.0]]))}, batch(targets))
    assert found.outputs.tolist() == [[150.0, -1.0]]
    assert torch.equal(found.known_targets, targets)
    assert found.loss.item() == pytest.approx(2.0)  # in standardized units: (0 + 4) / 2


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        (Classification(spec=CLASSES, loss=CrossEntropy()), torch.zeros(4, 2), LABELS),
        (Classification(spec=CLASSES, loss=CrossEntropy()), torch.zeros(4), LABELS),
        (Regression(spec=VALUES, loss=MSE()), torch.zeros(2), torch.zeros(2, 2)),
        (Regression(spec=VALUES, loss=MSE()), torch.zeros(2, 1), torch.zeros(2, 2)),
    ],
)
def test_an_output_of_another_shape_is_refused(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"its output must have shape \(.*\), got \("):
        task.predict({"model": Fixed(outputs)}, batch(targets))


def test_data_of_the_other_kind_is_refused_with_the_task_that_fits() -> None:
    with pytest.raises(ValueError, match="Set task=regression"):
        Classification(spec=VALUES, loss=CrossEntropy())
    with pytest.raises(ValueError, match="Set task=classification"):
        Regression(spec=CLASSES, loss=MSE())


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        (Classification(spec=CLASSES, loss=CrossEntropy()), LOGITS, LABELS),
        (Regression(spec=VALUES, loss=MSE()), torch.zeros(2, 2), torch.ones(2, 2)),
    ],
)
def test_a_task_names_every_metric_that_it_computes(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> None:
    state = task.metric_state()
    with torch.inference_mode():
        state.update(task.predict({"model": Fixed(outputs)}, batch(targets)))
    assert state.compute().keys() == task.metrics.keys()
    assert set(task.metrics.values()) == {"min", "max"}
