"""Images and their texts in one space: each image near its own text, and far from those of the other images.

Source: A. Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.

Symbols: B batch, E numbers of an embedding, U tokens of the longest text, C classes, Q texts that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.info_nce import symmetric_info_nce
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.outputs import softmax
from dlexp.metrics.reports.prediction_columns import PredictionColumns, class_columns, embedding_columns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.reports.retrieval import retrieval_report
from dlexp.metrics.retrieval import PairPrediction, RetrievalState, same_pairs
from dlexp.metrics.states import MetricState
from dlexp.sequence_specs import CaptionSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets
from dlexp.types import Batch, Field, LossOutput, Prediction

__all__ = ["ContrastiveLearning"]


@runtime_checkable
class ImageTextNetwork(Protocol):
    """A network of images (B, E) that encodes texts too, both of length 1."""

    def encode_texts(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, U) int64 and (B,) lengths -> (B, E)."""

    def scale(self) -> Tensor:
        """1 / temperature, shape ()."""


class ContrastiveLearning(Task):
    """The model returns E numbers of length 1 for an image and for a text; the loss compares the pairs of a batch.

    Evaluated over whole splits, see dlexp/metrics/retrieval.py. Pairs that share a text or an image are no negatives.

    embedding_size  E
    queries         texts that a prediction compares images with; () for the prompts of the classes of the data
    """

    metrics = {
        "loss": "min",
        "text_recall_at_1": "max",
        "text_recall_at_5": "max",
        "image_recall_at_1": "max",
        "image_recall_at_5": "max",
    }
    extra_metrics = {"zero_shot_accuracy": "max"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module, embedding_size: int = 64) -> None:
        """Raises ValueError for data without texts of images."""
        del loss  # the pairs of a batch have one of their own
        if not isinstance(spec.targets, CaptionSpec):
            raise other_targets("contrastive", "texts that describe images", spec)
        self._spec, self._embedding_size = spec.targets, embedding_size
        self.queries: tuple[str, ...] = ()

    def num_outputs(self, spec: DataSpec) -> int:
        """E."""
        return self._embedding_size

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """Symmetric InfoNCE of the pairs of the batch, and `scale`, 1 / temperature."""
        network = _checked(networks["model"])
        images, texts = forward(networks["model"], batch.inputs), _texts(network, batch.targets)
        scale = network.scale()
        return LossOutput(_compared(scale, images, texts, batch.targets), {"scale": scale.detach()})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Embeddings of images and texts. `loss` is that of the batch; metrics compute their own, over all pairs."""
        network, targets = _checked(networks["model"]), batch.targets
        images, texts = forward(networks["model"], batch.inputs), _texts(network, targets)
        expected = (len(batch), self._embedding_size)
        if images.shape != expected or texts.shape != expected:
            raise ValueError(f"its outputs must have shape {expected}, got {tuple(images.shape)}, {tuple(texts.shape)}")
        scale = network.scale()
        classes = self._asked(network, images.device)
        given = cast(dict[str, Tensor], targets)
        return PairPrediction(
            images,
            given["values"],
            _compared(scale, images, texts, targets),
            batch.indices,
            logits=None if classes is None else scale * images @ classes.T,
            texts=texts,
            tokens=given["values"],
            images=given["image"],
            labels=given["label"],
            scale=float(scale.detach()),
        )

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss and recalls, and the accuracy of classes where it is named.

        Raises ConfigError for the accuracy of data without classes.
        """
        if "zero_shot_accuracy" in names and not self._spec.names:
            rule = "requires images with classes, and these have none"
            remedy = "Set data.label=COLUMN, or another trainer.monitor"
            raise ConfigError.one("trainer.monitor", "val/zero_shot_accuracy", rule, remedy, code="incompatible-data")
        return RetrievalState(symmetric_info_nce, "zero_shot_accuracy" in names)

    def report_state(self) -> MetricState:
        """With the accuracy of classes, where the data have such."""
        return RetrievalState(symmetric_info_nce, bool(self._spec.names))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Recalls with intervals, every image with its nearest text, and the worst mistakes."""
        return retrieval_report(state.part(RetrievalState), self._decoded, resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The nearest query and the cosine of each; else the class by its prompts; else the embedding."""
        if self.queries and prediction.logits is not None:
            assert isinstance(prediction, PairPrediction)
            shares = softmax(prediction.logits.double().cpu().numpy())
            cosines = (prediction.logits.double().cpu() / prediction.scale).T.tolist()
            chosen = shares.argmax(1)
            return PredictionColumns(
                {
                    "predicted": [self.queries[number] for number in chosen],
                    "confidence": shares.max(1).tolist(),
                    **{f"cosine({text})": column for text, column in zip(self.queries, cosines, strict=True)},
                }
            )
        return embedding_columns(prediction) if prediction.logits is None else class_columns(spec, prediction, "p")

    def ask(self, queries: Sequence[str]) -> None:
        """Let predictions compare images with these texts. Raises ConfigError for one without a known token."""
        vocabulary = self._spec.vocabulary
        for text in queries:
            if all(number == vocabulary.unknown for number in vocabulary.encode(text)):
                rule = f"has no {vocabulary.unit} that the training texts have"
                known = ", ".join(vocabulary.tokens[3:13])
                raise ConfigError.one("--text", text, rule, f"Use words such as {known}", code="unknown-value")
        self.queries = tuple(dict.fromkeys(queries))

    def _asked(self, network: ImageTextNetwork, device: torch.device) -> Tensor | None:
        """(Q, E) of the queries, or (C, E) of the classes, of length 1: the mean over the prompts; None for neither."""
        spec = self._spec
        groups = [[text] for text in self.queries] or [
            [prompt.replace("{}", name) for prompt in spec.prompts] for name in spec.names
        ]
        if not groups:
            return None
        found = spec.encoded([text for group in groups for text in group])
        encoded = network.encode_texts(found.values.to(device), found.lengths.to(device))
        return F.normalize(encoded.unflatten(0, (len(groups), -1)).mean(1), dim=1)

    def _decoded(self, tokens: Tensor) -> str:
        """The text of ids with zeros behind them, which no text ends with unless it ends with an unknown token."""
        used = tokens.nonzero().flatten()
        return self._spec.vocabulary.decode(tokens[: int(used[-1]) + 1].tolist() if len(used) else [0])


def _checked(network: nn.Module) -> ImageTextNetwork:
    if isinstance(network, ImageTextNetwork):
        return network
    rule = f"requires a model of images and texts, and {type(network).__name__} is none"
    raise ConfigError.one("task", "contrastive", rule, "Use model=clip", code="incompatible-data")


def _texts(network: ImageTextNetwork, targets: Field | None) -> Tensor:
    """(B, E)."""
    assert isinstance(targets, dict)
    return network.encode_texts(targets["values"], targets["lengths"])


def _compared(scale: Tensor, images: Tensor, texts: Tensor, targets: Field | None) -> Tensor:
    assert isinstance(targets, dict)
    with torch.autocast(images.device.type, enabled=False):
        similarities = scale * images.float() @ texts.float().T
    return symmetric_info_nce(similarities, same_pairs(targets["values"], targets["image"]))
