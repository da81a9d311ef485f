"""Metrics of tags: a class for each position of a sequence, and the entities that they spell.

Symbols: B sequences of a batch, T positions of the longest, C tags, N sequences of a split, R resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import Mean, MetricState
from dlexp.metrics.tokens.spans import has_entities, spans
from dlexp.types import Prediction

ENTITY_METRICS = ("entity_f1", "entity_precision", "entity_recall")


@dataclass(frozen=True)
class SequenceCounts:
    """Counts of each of N sequences, (N,) float64 each.

    positions  positions with a tag
    hits       whose tag is right
    found      entities that were predicted
    true       entities that there are
    both       entities whose kind and both ends are right
    """

    positions: Floats
    hits: Floats
    found: Floats
    true: Floats
    both: Floats

    def statistic(self, counts: Floats) -> dict[str, Floats]:
        """Counts (R, N) of the sequences -> metric -> (R,), NaN where a resample has none."""
        positions, hits, found, true, both = (counts @ part for part in vars(self).values())
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "accuracy": np.where(positions > 0, hits / positions, np.nan),
                "entity_precision": np.where(found > 0, both / found, np.nan),
                "entity_recall": np.where(true > 0, both / true, np.nan),
                "entity_f1": np.where(found + true > 0, 2 * both / (found + true), np.nan),
            }


class TagState(MetricState):
    """Loss, accuracy of positions, and F1 of entities where the tags spell some.

    It keeps 56 bytes a sequence, and C x C counts. An entity counts if its kind and both ends are right.
    """

    def __init__(self, names: Sequence[str], wanted: Sequence[str] = ()) -> None:
        """Begin without sequences.

        Args:
            names: Of the C tags.
            wanted: Those of `ENTITY_METRICS` that `compute` returns.
        """
        self._names, self._loss, self._wanted = tuple(names), Mean(), tuple(wanted)
        self.entities = has_entities(names)
        self._rows, self._indices = RowStore[Any](), RowStore[np.int64]()
        self._pairs = torch.zeros(len(names), len(names), dtype=torch.int64)
        self._of_kinds = {part: Counter[str]() for part in ("found", "true", "both")}

    def update(self, prediction: Prediction) -> None:
        """outputs (B, T) int64 tags, targets (B, T) with -1 in padding."""
        self._loss.add(prediction)
        chosen, true = prediction.outputs.cpu(), prediction.known_targets.cpu()
        kept = true >= 0
        size = len(self._names)
        self._pairs += torch.bincount(true[kept] * size + chosen[kept], minlength=size * size).view(size, size)
        hits = ((chosen == true) & kept).sum(1)
        rows = [
            [float(n), float(h), *self._entities(c[k], t[k])]
            for n, h, c, t, k in zip(kept.sum(1).tolist(), hits.tolist(), chosen, true, kept, strict=True)
        ]
        self._rows.append(np.array(rows).reshape(-1, 5))
        self._indices.append(prediction.indices.cpu().numpy())

    def merge(self, other: Self) -> None:
        """Add the sequences of another state, after those of this one."""
        self._loss.merge(other._loss)
        self._rows.extend(other._rows)
        self._indices.extend(other._indices)
        self._pairs += other._pairs
        for part, counts in other._of_kinds.items():
            self._of_kinds[part] += counts

    def compute(self) -> dict[str, float]:
        """Loss, accuracy and the wanted metrics, NaN for one that is undefined. Raises ValueError without sequences."""
        counts = self.counts()
        found = {name: float(v[0]) for name, v in counts.statistic(np.ones((1, len(counts.hits)))).items()}
        entities = {name: found[name] for name in self._wanted}
        return {"loss": self._loss.value(), "accuracy": found["accuracy"], **entities}

    def counts(self) -> SequenceCounts:
        """The counts of every sequence. Raises ValueError without any."""
        if not len(self._rows):
            raise ValueError("no sequence was evaluated")
        return SequenceCounts(*self._rows.joined().T)

    def indices(self) -> NDArray[np.int64]:
        """(N,) the number of each sequence in its source."""
        return self._indices.joined()

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(C, C) positions: rows are the true tags."""
        return self._pairs.numpy()

    def kinds(self) -> list[tuple[str, int, int, int]]:
        """(kind, true entities, predicted ones, right ones), by name."""
        found, true, both = (self._of_kinds[part] for part in ("found", "true", "both"))
        return [(kind, true[kind], found[kind], both[kind]) for kind in sorted({*true, *found})]

    def _entities(self, chosen: Tensor, true: Tensor) -> tuple[float, float, float]:
        """(predicted, true, right) entities of one sequence, which are also counted by kind."""
        if not self.entities:
            return 0.0, 0.0, 0.0
        found, known = (set(spans([self._names[tag] for tag in tags.tolist()])) for tags in (chosen, true))
        for part, some in (("found", found), ("true", known), ("both", found & known)):
            self._of_kinds[part].update(kind for kind, *_ in some)
        return float(len(found)), float(len(known)), float(len(found & known))
