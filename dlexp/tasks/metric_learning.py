"""Embeddings in which samples of a class lie near each other.

Symbols: B batch, E numbers of an embedding, C classes, N samples of a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.neighbors import NeighborState
from dlexp.metrics.reports.classes import class_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns, embedding_columns
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.states import MetricState
from dlexp.metrics.undefined import undefined_of_neighbors
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Networks, Phase, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["MetricLearning"]


class MetricLearning(Task):
    """The model returns E numbers a sample, its embedding; the loss compares the samples of a batch.

    Evaluated by the neighbors of each sample within its own split, see dlexp/metrics/neighbors.py.

    embedding_size  E
    normalize       scale each embedding to length 1, so that distances lie in [0, 2]
    k               neighbors that vote on the class of a sample
    """

    metrics = {
        "loss": "min",
        "knn_accuracy": "max",
        "recall_at_1": "max",
        "recall_at_5": "max",
        "same_distance": "min",
        "other_distance": "max",
    }

    def __init__(
        self, *, spec: DataSpec, loss: nn.Module, embedding_size: int = 64, normalize: bool = True, k: int = 5
    ) -> None:
        """Raises ValueError when the data holds no classes."""
        if not isinstance(spec.targets, ClassSpec):
            raise other_targets("metric learning", "classes", spec)
        self._criterion, self._num_classes = loss, spec.num_outputs
        if any(True for _ in loss.parameters()):
            self.phases = {"train": Phase(("model", "loss"))}
        self._embedding_size, self._normalize, self._k = embedding_size, normalize, k

    def num_outputs(self, spec: DataSpec) -> int:
        """E."""
        return self._embedding_size

    def own_networks(self) -> Networks:
        """The loss, where it has weights that are learned with the model's."""
        return {"loss": self._criterion} if "loss" in self.phases["train"].networks else {}

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on the embeddings of the batch."""
        return LossOutput(self._criterion_of(networks, self._embedded(networks, batch), batch))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Embeddings (B, E). The loss is that of the pairs of the batch, so it depends on data.eval_batch_size."""
        embeddings = self._embedded(networks, batch)
        if embeddings.shape != (len(batch), self._embedding_size):
            expected = len(batch), self._embedding_size
            raise ValueError(f"its output must have shape {expected}, got {tuple(embeddings.shape)}")
        return Prediction(
            embeddings, as_tensor(batch.targets), self._criterion_of(networks, embeddings, batch), batch.indices
        )

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, accuracy of k neighbors, recall at 1 and 5, distances within and between classes."""
        return NeighborState(self._num_classes, self._k)

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The classes by the votes of the neighbors, and every sample's embedding."""
        found = state.part(NeighborState)
        embeddings, _, indices = found.samples()
        voted = class_report(spec.output_names, indices.numpy(), found.voted(), "vote", resampling)
        predictions = voted.tables["predictions"]
        header = [*predictions.header, *(f"e{n}" for n in range(self._embedding_size))]
        rows = _WithEmbeddings(predictions, embeddings)
        return replace(voted, tables={**voted.tables, "predictions": Table(header, rows)})

    def decode(self, outputs: Tensor) -> Tensor:
        """(B, E) -> (B, E), of length 1 where `normalize` is set."""
        return F.normalize(outputs, dim=1) if self._normalize else outputs

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The embedding."""
        return embedding_columns(prediction)

    def undefined(self, name: str, targets: Tensor) -> str:
        """Neighbors of a class need two samples of one, and a distance between classes needs two of them."""
        return undefined_of_neighbors(name, targets)

    def _criterion_of(self, networks: Networks, embeddings: Tensor, batch: Batch) -> Tensor:
        found: Tensor = networks.get("loss", self._criterion)(embeddings, batch.targets)
        return found

    def _embedded(self, networks: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """(B, E) float32 or float64, of length 1 where `normalize` is set."""
        outputs = forward(networks["model"], batch.inputs)
        return self.decode(outputs.to(torch.promote_types(outputs.dtype, torch.float32)))


@dataclass(frozen=True)
class _WithEmbeddings:
    """The rows of a table, each followed by the embedding (E,) of its sample; made as they are read."""

    table: Table
    embeddings: Tensor

    def __iter__(self) -> Iterator[list[Any]]:
        for row, embedding in zip(self.table.rows, self.embeddings, strict=True):
            yield [*row, *embedding.tolist()]
