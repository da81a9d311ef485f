"""One class out of several for each sample.

Symbols: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dlexp.losses.reading import reading_of_classes
from dlexp.metrics.report import Report, class_report
from dlexp.metrics.states import ClassificationState
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, DataSpec, LossOutput, Prediction

__all__ = ["Classification"]


class Classification(Task):
    """The loss says how many numbers the model puts out, and how they are read.

    Most losses take logits (B, C), and the prediction is their softmax. `loss=bce` takes one logit for two classes, and
    the prediction is (1 - p, p). The scores of a margin loss are no probabilities: they are reported as scores, without
    a log loss or a confidence.
    """

    metrics = {"loss": "min", "accuracy": "max", "balanced_accuracy": "max", "f1_macro": "max"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError when the data holds no classes."""
        if spec.targets != "class":
            raise ValueError("classification needs classes, and this data holds numbers; choose task=regression")
        self._criterion, self._num_classes = loss, spec.num_outputs
        self._reading = reading_of_classes(loss)
        self._width = self._reading.num_outputs(spec.num_outputs)

    def num_outputs(self, spec: DataSpec) -> int:
        """C, or 1 for a loss that tells two classes apart by one number."""
        return self._reading.num_outputs(spec.num_outputs)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on the outputs; `accuracy` beside it."""
        outputs = networks["model"](batch.inputs)
        hits = self._reading.chosen(outputs.detach()) == batch.targets
        return LossOutput(self._criterion(outputs, batch.targets), {"accuracy": hits})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Probabilities (B, C), or scores where the loss makes none."""
        outputs = networks["model"](batch.inputs).float()
        if outputs.shape != (len(batch), self._width):
            raise ValueError(f"its output has shape {tuple(outputs.shape)}, not {(len(batch), self._width)}")
        loss = self._criterion(outputs, batch.targets)
        return Prediction(self._reading.read(outputs), batch.targets, loss, batch.rows)

    def metric_state(self) -> ClassificationState:
        """Loss, accuracy, balanced accuracy and macro F1."""
        return ClassificationState(self._num_classes)

    def report(self, spec: DataSpec, predictions: Sequence[Prediction]) -> Report:
        """Averages, each class, the confusion matrix and every sample's probabilities or scores."""
        return class_report(spec, predictions, "p" if self._reading.probabilistic else "score")
