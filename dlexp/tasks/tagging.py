"""A class for each position of a sequence.

Symbols: B sequences of a batch, T positions of the longest, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.crf import LinearChain
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.reports.tags import tag_report
from dlexp.metrics.states import MetricState
from dlexp.metrics.tokens.spans import has_entities
from dlexp.metrics.tokens.tags import ENTITY_METRICS, TagState
from dlexp.sequence_specs import TagSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Phase, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, Sequences

__all__ = ["Tagging"]

_PADDING = -1


class Tagging(Task):
    """The model returns (B, T, C) scores.

    Without `crf` the loss is the mean surprise of a tag, and the prediction the tag with the highest score at each
    position. With it, a conditional random field scores whole sequences: the loss is the negative log likelihood of a
    sequence over its positions, and the prediction the best sequence. Either is a mean over positions, in nats; padding
    counts for nothing.

    crf  whether scores of neighboring tags are learned too
    """

    metrics = {"loss": "min", "accuracy": "max"}
    extra_metrics = dict.fromkeys(ENTITY_METRICS, "max")

    def __init__(self, *, spec: DataSpec, loss: nn.Module, crf: bool = False) -> None:
        """Raises ValueError for data without tags."""
        if not isinstance(spec.targets, TagSpec):
            raise other_targets("tagging", "a class for each position", spec)
        self._names = spec.targets.names
        self._crf = LinearChain(len(self._names)) if crf else None
        if self._crf is not None:
            self.phases = {"train": Phase(("model", "crf"))}

    def own_networks(self) -> Networks:
        """The conditional random field, where there is one."""
        return {} if self._crf is None else {"crf": self._crf}

    def loss_weight(self, phase: str, batch: Batch) -> Tensor:
        """Positions that have a tag."""
        return (self._tags(batch) != _PADDING).sum()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over positions."""
        scores, tags, lengths = self._scored(networks, batch)
        with torch.no_grad():
            hits = (scores.argmax(2) == tags)[tags != _PADDING]
        return LossOutput(self._mean_loss(networks, scores, tags, lengths), {"accuracy": hits})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """outputs (B, T) int64 tags, targets (B, T) int64 with -1 in padding."""
        scores, tags, lengths = self._scored(networks, batch)
        expected = (*tags.shape, len(self._names))
        if tuple(scores.shape) != expected:
            raise ValueError(f"its output must have shape {expected}, got {tuple(scores.shape)}")
        chosen = networks["crf"].best(scores, lengths) if "crf" in networks else scores.argmax(2)  # type: ignore[operator]
        loss = self._mean_loss(networks, scores, tags, lengths)
        extra = {"lengths": lengths}
        return Prediction(chosen, tags, loss, batch.indices, extra, weight=(tags != _PADDING).sum())

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, accuracy and entities."""
        return TagState(self._names, names)

    def report_state(self) -> MetricState:
        """All of them."""
        return TagState(self._names, ENTITY_METRICS if has_entities(self._names) else ())

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The metrics with intervals over sequences, each sequence, and each kind of entity."""
        return tag_report(self._names, state.part(TagState), resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The tags of a sequence, with a space between them."""
        lengths = prediction.extra["lengths"].tolist()
        rows = zip(prediction.outputs.tolist(), lengths, strict=True)
        return PredictionColumns({"predicted": [" ".join(self._names[t] for t in tags[:n]) for tags, n in rows]})

    def undefined(self, name: str, targets: Tensor) -> str:
        """Entities need tags that spell them."""
        if name in ENTITY_METRICS and not has_entities(self._names):
            return "the tags name no entities, such as B-PER and I-PER"
        return ""

    def _mean_loss(self, networks: Networks, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        count = (tags != _PADDING).sum().clamp(min=1)
        if "crf" in networks:
            found: Tensor = networks["crf"](scores, tags, lengths)
            return found.sum() / count
        total = F.cross_entropy(scores.flatten(0, 1).float(), tags.flatten(), ignore_index=_PADDING, reduction="sum")
        return total / count

    def _scored(self, networks: Networks, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        assert isinstance(batch.inputs, Sequences)
        return forward(networks["model"], batch.inputs), self._tags(batch), batch.inputs.lengths

    def _tags(self, batch: Batch) -> Tensor:
        """(B, T) the tags, -1 in padding."""
        assert isinstance(batch.targets, Sequences)
        return batch.targets.filled(_PADDING)
