"""One class out of several for each sample.

Symbols: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.output_decoding import reading_of_classes
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import OF_PROBABILITIES, RANKING, TOP
from dlexp.metrics.prediction_columns import Answers, class_answers
from dlexp.metrics.report import Report, class_report, class_samples
from dlexp.metrics.states import ClassificationState
from dlexp.metrics.undefined import undefined_of_classes
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Classification"]


class Classification(Task):
    """The loss says how many numbers the model puts out, and how they are read.

    Most losses take logits (B, C), and the prediction is their softmax. `loss=bce` takes one logit for two classes, and
    the prediction is (1 - p, p). The scores of a margin loss are no probabilities: they are reported as scores, without
    a log loss or a confidence.
    """

    metrics = {"loss": "min", "accuracy": "max", "balanced_accuracy": "max", "f1_macro": "max"}
    on_request = {
        **dict.fromkeys(OF_PROBABILITIES, "min"),
        **dict.fromkeys((*RANKING, *(f"top_{k}_accuracy" for k in TOP)), "max"),
        **dict.fromkeys(("precision_macro", "recall_macro", "specificity_macro"), "max"),
        **dict.fromkeys(("precision_weighted", "recall_weighted", "f1_weighted", "specificity_weighted"), "max"),
        **dict.fromkeys(("cohen_kappa", "matthews_correlation"), "max"),
    }

    mixes = True

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError when the data holds no classes."""
        if not isinstance(spec.targets, ClassSpec):
            raise other_targets("classification", "classes", spec)
        self._criterion, self._num_classes = loss, spec.num_outputs
        self._reading, self._class_names = reading_of_classes(loss), spec.targets.names
        self._width = self._reading.num_outputs(spec.num_outputs)

    def num_outputs(self, spec: DataSpec) -> int:
        """C, or 1 for a loss that tells two classes apart by one number."""
        return self._reading.num_outputs(spec.num_outputs)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on the outputs; `accuracy` beside it.

        A mixed sample is of both classes, each by its share: so is its loss, which for cross entropy is that of the
        soft target. Its accuracy is the share of the class that was chosen, called `mixed_accuracy`: no network can
        come to 1 there, so it does not stand beside that of samples as they are.
        """
        outputs, targets = forward(networks["model"], batch.inputs), as_tensor(batch.targets)
        chosen = self._reading.chosen(outputs.detach())
        hits, mixed = chosen == targets, batch.mixed
        if mixed is None:
            return LossOutput(self._criterion(outputs, targets), {"accuracy": hits})
        first, second = self._criterion(outputs, targets), self._criterion(outputs, mixed.targets)
        right = torch.lerp((chosen == mixed.targets).float(), hits.float(), mixed.share).mean()
        return LossOutput(torch.lerp(second, first, mixed.share), {"mixed_accuracy": right})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Probabilities (B, C), or scores where the loss makes none."""
        outputs, targets = forward(networks["model"], batch.inputs).float(), as_tensor(batch.targets)
        if outputs.shape != (len(batch), self._width):
            raise ValueError(f"its output has shape {tuple(outputs.shape)}, not {(len(batch), self._width)}")
        loss = self._criterion(outputs, targets)
        # A task that reads its outputs in another way is known by its probabilities alone.
        logits = self._reading.logits(outputs) if type(self).read is Classification.read else None
        return Prediction(self.read(outputs), targets, loss, batch.indices, logits=logits)

    def metric_state(self) -> ClassificationState:
        """Loss, accuracy, balanced accuracy and macro F1."""
        return ClassificationState(self._num_classes)

    def read(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, C): probabilities, or scores where the loss makes none."""
        return self._reading.read(outputs)

    def answers(self, spec: DataSpec, prediction: Prediction) -> Answers:
        """The class, how sure, and the numbers of every class."""
        return class_answers(spec, prediction, self._meaning)

    @property
    def _meaning(self) -> str:
        return "p" if self._reading.probabilistic else "score"

    def requested(self, names: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float]:
        """From every sample's probabilities or scores. Raises ConfigError for what the loss or the classes rule out."""
        for name in names:
            if name in OF_PROBABILITIES and not self._reading.probabilistic:
                rule = "needs probabilities, and this loss makes scores"
                raise ConfigError.one("trainer.monitor", f"val/{name}", rule, "monitor val/roc_auc, or another loss")
            if name in (f"top_{k}_accuracy" for k in TOP if k >= self._num_classes):
                rule = f"is always 1 with {self._num_classes} classes"
                raise ConfigError.one("trainer.monitor", f"val/{name}", rule, "monitor val/accuracy")
        return class_samples(predictions, probabilistic=self._reading.probabilistic).chosen(names)

    def undefined(self, name: str, targets: Tensor) -> str:
        """Areas under curves need samples of every class, and what compares classes needs two."""
        return undefined_of_classes(name, targets, self._class_names)

    def report(self, spec: DataSpec, predictions: Sequence[Prediction], resampling: Resampling | None = None) -> Report:
        """Averages, each class, the confusion matrix and every sample's probabilities or scores."""
        return class_report(spec, predictions, self._meaning, resampling)
