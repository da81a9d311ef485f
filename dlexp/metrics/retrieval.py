"""Metrics of pairs of images and texts, over a whole split.

Symbols: N pairs, I different images, J different texts, E numbers of an embedding, U tokens, C classes, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import MetricState
from dlexp.runtime.seed import generator
from dlexp.types import Prediction

BLOCK = 64  # pairs that the loss of an evaluation compares with each other
_ROWS = 512  # of similarities at a time


@dataclass(frozen=True)
class PairPrediction(Prediction):
    """Images and texts in one space. `outputs` are those of the images, (B, E) of length 1.

    texts   (B, E), of the text of each
    tokens  (B, U) int64, zeros behind each text
    images  (B,) int64, equal for pairs of one image
    labels  (B,) int64 class numbers, -1 for none
    scale   1 / temperature
    `logits` are (B, C), of the prompts of each class; None without classes
    """

    texts: Tensor | None = None
    tokens: Tensor | None = None
    images: Tensor | None = None
    labels: Tensor | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Ranks:
    """Place of the best right answer to each question, from 1; a wrong one that is as near comes first.

    texts         (I,) of each image, among J texts
    images        (J,) of each text, among I images
    first_image   (I,) the pair in which each image occurs first
    first_text    (J,) the same of texts
    nearest_text  (I,) the pair of the nearest text of each image
    """

    texts: Tensor
    images: Tensor
    first_image: Tensor
    first_text: Tensor
    nearest_text: Tensor


class RetrievalState(MetricState):
    """Loss, recall at 1 and 5 in both directions, and the accuracy of classes by their prompts.

    It keeps the embeddings of all pairs, so that no figure depends on which pairs share a batch. Of embeddings that
    are not finite, nothing is found.

    criterion  similarities (B, B) divided by the temperature, and `same_pairs` (B, B) -> the mean loss, shape ()
    classes    whether `zero_shot_accuracy` is computed
    """

    def __init__(self, criterion: Callable[[Tensor, Tensor], Tensor], classes: bool = False) -> None:
        self._criterion, self._classes = criterion, classes
        self._stores: dict[str, RowStore[Any]] = {
            name: RowStore() for name in ("outputs", "texts", "tokens", "images", "labels", "indices", "classes")
        }
        self._scale = 1.0

    def update(self, prediction: Prediction) -> None:
        """Take in a PairPrediction."""
        assert isinstance(prediction, PairPrediction)
        chosen = None if prediction.logits is None else prediction.logits.argmax(1)
        given = {**vars(prediction), "classes": prediction.labels if chosen is None else chosen}
        for name, store in self._stores.items():
            value = given[name]
            store.append(value.double().cpu().numpy() if value.is_floating_point() else value.cpu().numpy())
        self._scale = prediction.scale

    def merge(self, other: Self) -> None:
        """Take in another state's pairs."""
        for name, store in self._stores.items():
            store.extend(other._stores[name])
        self._scale = other._scale if len(other._stores["indices"]) else self._scale

    def pairs(self) -> dict[str, Tensor]:
        """Everything that is kept, in the order of the sample numbers. Raises ValueError without a pair."""
        if not len(self._stores["indices"]):
            raise ValueError("no sample was evaluated")
        found = {name: torch.from_numpy(store.joined()) for name, store in self._stores.items()}
        order = found["indices"].argsort(stable=True)
        return {name: value[order] for name, value in found.items()}

    def compute(self) -> dict[str, float]:
        """The metrics."""
        pairs = self.pairs()
        ranks = ranked(pairs)
        found = {"loss": self._loss(pairs)}
        for side in ("text", "image"):
            places = ranks.texts if side == "text" else ranks.images
            found |= {f"{side}_recall_at_{k}": float((places <= k).double().mean()) for k in (1, 5)}
        return found | ({"zero_shot_accuracy": float(self.hits(pairs).double().mean())} if self._classes else {})

    def hits(self, pairs: dict[str, Tensor]) -> Tensor:
        """Whether the class of each image that has one was found, bool; each image counts once."""
        first = _first(pairs["images"][:, None])[0]
        labels, chosen = pairs["labels"][first], pairs["classes"][first]
        return (chosen == labels)[labels >= 0]

    def _loss(self, pairs: dict[str, Tensor]) -> float:
        """The mean over blocks of BLOCK pairs in an order that the number of pairs alone decides."""
        count = len(pairs["indices"])
        total = 0.0
        for block in torch.randperm(count, generator=generator(0, "pairs", count)).split(BLOCK):
            images, texts = pairs["outputs"][block], pairs["texts"][block]
            same = same_pairs(pairs["tokens"][block], pairs["images"][block])
            total += float(self._criterion(self._scale * images @ texts.T, same)) * len(block)
        return total / count


def same_pairs(tokens: Tensor, images: Tensor) -> Tensor:
    """(B, B) bool: whether two pairs have equal tokens (B, U) or one image (B,)."""
    texts = (tokens[:, None] == tokens[None]).all(2)
    return texts | (images[:, None] == images)


def ranked(pairs: dict[str, Tensor]) -> Ranks:
    """Where the right answers stand; `pairs` as `RetrievalState.pairs` gives them."""
    first_image, image_of = _first(pairs["images"][:, None])
    first_text, text_of = _first(pairs["tokens"])
    right = torch.zeros(len(first_image), len(first_text), dtype=torch.bool)
    right[image_of, text_of] = True
    images, texts = pairs["outputs"][first_image], pairs["texts"][first_text]
    nearest = torch.cat([(rows @ texts.T).argmax(1) for rows in images.split(_ROWS)])
    return Ranks(
        _places(images, texts, right), _places(texts, images, right.T), first_image, first_text, first_text[nearest]
    )


def _places(asked: Tensor, answers: Tensor, right: Tensor) -> Tensor:
    """(n,) int64: 1 + the wrong answers that are not farther from each question than its best right one."""
    found = []
    for rows, own in zip(asked.split(_ROWS), right.split(_ROWS), strict=True):
        near = rows @ answers.T
        best = near.masked_fill(~own, float("-inf")).amax(1, keepdim=True)
        found.append(1 + (~(near < best) & ~own).sum(1))  # what cannot be compared counts as nearer
    return torch.cat(found)


def _first(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The first row of each kind, and the kind of each row (N,); kinds are numbered in any order."""
    _, first, kinds = np.unique(rows.numpy(), axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first), torch.from_numpy(kinds.reshape(-1))
