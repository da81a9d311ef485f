"""One class out of several for each sample.

Symbols: B batch, C classes.
"""

from __future__ import annotations

from torch import nn

from dlexp.metrics.states import ClassificationState
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, DataSpec, LossOutput, Prediction

__all__ = ["Classification"]


class Classification(Task):
    """The model puts out logits (B, C); the prediction is their softmax."""

    metrics = {"loss": "min", "accuracy": "max", "balanced_accuracy": "max", "f1_macro": "max"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError when the data holds no classes."""
        if spec.targets != "class":
            raise ValueError("classification needs classes, and this data holds numbers; choose task=regression")
        self._criterion, self._num_classes = loss, spec.num_outputs

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on the logits; `accuracy` beside it."""
        logits = networks["model"](batch.inputs)
        hits = logits.detach().argmax(dim=1) == batch.targets
        return LossOutput(self._criterion(logits, batch.targets), {"accuracy": hits})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Probabilities (B, C)."""
        logits = networks["model"](batch.inputs).float()
        if logits.shape != (len(batch), self._num_classes):
            raise ValueError(f"its output has shape {tuple(logits.shape)}, not {(len(batch), self._num_classes)}")
        loss = self._criterion(logits, batch.targets)
        return Prediction(logits.softmax(dim=1), batch.targets, loss, batch.rows)

    def metric_state(self) -> ClassificationState:
        """Loss, accuracy, balanced accuracy and macro F1."""
        return ClassificationState(self._num_classes)
