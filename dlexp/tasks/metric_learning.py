"""Embeddings in which samples of a class lie near each other.

Symbols: B batch, E numbers of an embedding, C classes, N samples of a split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.neighbors import NeighbourState, nearest, votes
from dlexp.metrics.prediction_columns import Answers, embedding_answers
from dlexp.metrics.report import Report, class_report
from dlexp.metrics.undefined import undefined_of_neighbours
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Networks, Phase, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["MetricLearning"]


class MetricLearning(Task):
    """The model puts out E numbers a sample, its embedding; the loss compares the samples of a batch.

    Evaluated by the neighbours of each sample within its own split, see dlexp/metrics/neighbors.py.

    embedding_size  E
    normalize       scale each embedding to length 1, so that distances lie in [0, 2]
    k               neighbours that vote on the class of a sample
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
        return LossOutput(self._judged(networks, self._embedded(networks, batch), batch))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Embeddings (B, E). The loss is that of the pairs of the batch, so it depends on data.eval_batch_size."""
        embeddings = self._embedded(networks, batch)
        if embeddings.shape != (len(batch), self._embedding_size):
            raise ValueError(
                f"its output has shape {tuple(embeddings.shape)}, not {(len(batch), self._embedding_size)}"
            )
        loss = self._judged(networks, embeddings, batch)
        return Prediction(embeddings, as_tensor(batch.targets), loss, batch.indices)

    def metric_state(self) -> NeighbourState:
        """Loss, accuracy of k neighbours, recall at 1 and 5, distances within and between classes."""
        return NeighbourState(self._num_classes, self._k)

    def read(self, outputs: Tensor) -> Tensor:
        """(B, E) -> (B, E), of length 1 where that was asked for."""
        return F.normalize(outputs, dim=1) if self._normalize else outputs

    def answers(self, spec: DataSpec, prediction: Prediction) -> Answers:
        """The embedding."""
        return embedding_answers(prediction)

    def undefined(self, name: str, targets: Tensor) -> str:
        """Neighbours of a class need two samples of one, and a distance between classes needs two of them."""
        return undefined_of_neighbours(name, targets)

    def report(self, spec: DataSpec, predictions: Sequence[Prediction], resampling: Resampling | None = None) -> Report:
        """The classes by the votes of the neighbours, and every sample's embedding."""
        embeddings = torch.cat([p.outputs for p in predictions]).double().cpu()
        targets = torch.cat([p.known_targets for p in predictions]).cpu()
        found = votes(targets[nearest(embeddings, self._k)], self._num_classes)
        whole = Prediction(found, targets, predictions[0].loss, torch.cat([p.indices for p in predictions]))
        voted = class_report(spec, [whole], "vote", resampling)
        header = [*voted.prediction_header, *(f"e{n}" for n in range(self._embedding_size))]
        lines = [[*row, *e] for row, e in zip(voted.prediction_rows, embeddings.tolist(), strict=True)]
        return replace(voted, prediction_header=header, prediction_rows=lines)

    def _judged(self, networks: Networks, embeddings: Tensor, batch: Batch) -> Tensor:
        found: Tensor = networks.get("loss", self._criterion)(embeddings, batch.targets)
        return found

    def _embedded(self, networks: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """(B, E) float32 or float64, of length 1 where that was asked for."""
        outputs = forward(networks["model"], batch.inputs)
        return self.read(outputs.to(torch.promote_types(outputs.dtype, torch.float32)))
