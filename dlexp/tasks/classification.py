"""One class out of several for each sample.

Symbols: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlexp.errors import Code, ConfigError
from dlexp.losses.output_decoding import class_decoder
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import OF_PROBABILITIES, RANKING, TOP, ClassSampleState
from dlexp.metrics.reports.classes import class_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns, class_columns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.selection.catalog import top_k
from dlexp.metrics.states import ClassificationState, MetricState, StateGroup
from dlexp.metrics.undefined import undefined_of_classes
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Classification"]


class Classification(Task):
    """The decoder of the loss sets the number of outputs and their meaning.

    Most losses take logits (B, C), and the prediction is their softmax. `loss=bce` takes one logit for two classes, and
    the prediction is (1 - p, p). The scores of a margin loss are no probabilities: they are reported as scores, without
    a log loss or a confidence.
    """

    metrics = {"loss": "min", "accuracy": "max", "balanced_accuracy": "max", "f1_macro": "max"}
    extra_metrics = {
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
        self._decoder, self._class_names = class_decoder(loss), spec.targets.names
        self._width = self._decoder.num_outputs(spec.num_outputs)

    def num_outputs(self, spec: DataSpec) -> int:
        """C, or 1 for a loss that separates two classes by one number."""
        return self._decoder.num_outputs(spec.num_outputs)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on the outputs; `accuracy` beside it, see `loss_of`."""
        return self.loss_of(forward(networks["model"], batch.inputs), batch)

    def loss_of(self, outputs: Tensor, batch: Batch) -> LossOutput:
        """The criterion on outputs (B, num_outputs) of a batch; `accuracy` beside it.

        A mixed sample is of both classes, each by its share: so is its loss, which for cross entropy is that of the
        soft target. Its accuracy is the share of the class that was predicted, called `mixed_accuracy`: no network can
        reach 1 there, so it is not comparable with that of unmixed samples.
        """
        targets = as_tensor(batch.targets)
        predicted = self._decoder.choose(outputs.detach())
        hits, mixed = predicted == targets, batch.mixed
        if mixed is None:
            return LossOutput(self._criterion(outputs, targets), {"accuracy": hits})
        first, second = self._criterion(outputs, targets), self._criterion(outputs, mixed.targets)
        right = torch.lerp((predicted == mixed.targets).float(), hits.float(), mixed.share).mean()
        return LossOutput(torch.lerp(second, first, mixed.share), {"mixed_accuracy": right})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Probabilities (B, C), or scores where the loss makes none."""
        outputs, targets = forward(networks["model"], batch.inputs).float(), as_tensor(batch.targets)
        if outputs.shape != (len(batch), self._width):
            raise ValueError(f"its output must have shape {(len(batch), self._width)}, got {tuple(outputs.shape)}")
        loss = self._criterion(outputs, targets)
        # A task that decodes its outputs in another way is known by its probabilities alone.
        logits = self._decoder.logits(outputs) if type(self).decode is Classification.decode else None
        return Prediction(self.decode(outputs), targets, loss, batch.indices, logits=logits)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, accuracy, balanced accuracy and macro F1, and the extra metrics `names`.

        Raises ConfigError for one that the loss or the number of classes rules out.
        """
        for name in names:
            if refused := self.refusal(name):
                code: Code = "no-effect" if name.startswith("top_") else "cannot-combine"
                raise ConfigError.one("trainer.monitor", f"val/{name}", *refused, code=code)
        usual = ClassificationState(self._num_classes)
        return StateGroup(usual, self._sample_state(names)) if names else usual

    def refusal(self, name: str) -> tuple[str, str] | None:
        """Metrics of probabilities where the loss makes scores, and the best K of at most K classes."""
        if name in OF_PROBABILITIES and not self._decoder.is_probabilistic:
            return "requires probabilities, and this loss makes scores", "Use roc_auc, or another loss."
        if top_k(name) >= self._num_classes:
            return f"is always 1 with {self._num_classes} classes", "Use accuracy."
        return None

    def sample_state(self, keeps_outputs: bool = False) -> MetricState:
        """The class and the results of every sample, and its outputs where they are required."""
        return self._sample_state(keeps_outputs=keeps_outputs)

    def report_state(self) -> MetricState:
        """The usual metrics, and every sample."""
        return StateGroup(self.metric_state(), self._sample_state(keeps_outputs=True))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Averages, each class, the confusion matrix and every sample's probabilities or scores."""
        found = state.part(ClassSampleState)
        return class_report(spec.output_names, found.indices(), found.samples(), self._meaning, resampling)

    def logits(self, outputs: Tensor) -> Tensor | None:
        """(B, num_outputs) -> (B, C): numbers whose softmax `decode` gives; None where the loss makes no logits."""
        return self._decoder.logits(outputs)

    def decode(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, C): probabilities, or scores where the loss makes none."""
        return self._decoder.decode(outputs)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The predicted class, the confidence, and the numbers of every class."""
        return class_columns(spec, prediction, self._meaning)

    def undefined(self, name: str, targets: Tensor) -> str:
        """Areas under curves need samples of every class, and what compares classes needs two."""
        return undefined_of_classes(name, targets, self._class_names)

    @property
    def _meaning(self) -> str:
        return "p" if self._decoder.is_probabilistic else "score"

    def _sample_state(self, names: Sequence[str] = (), keeps_outputs: bool = False) -> ClassSampleState:
        return ClassSampleState(
            self._num_classes,
            is_probabilistic=self._decoder.is_probabilistic,
            names=names,
            keeps_outputs=keeps_outputs,
        )
