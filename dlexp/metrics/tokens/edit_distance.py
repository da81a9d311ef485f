"""Edits between sequences of characters or words: error rates of what was recognized.

Source of the distance: V. I. Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals",
1966.

Symbols: B samples of a batch, N samples of a split, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import Mean, MetricState
from dlexp.text.vocabulary import Vocabulary
from dlexp.types import Prediction

_PADDING = -1


def edit_distance(found: Sequence[Any], true: Sequence[Any]) -> int:
    """The least number of insertions, deletions and replacements that make `true` of `found`."""
    row = list(range(len(true) + 1))
    for number, item in enumerate(found, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(true, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (item != other))
    return row[-1]


@dataclass(frozen=True)
class EditCounts:
    """Counts of each of N samples, (N,) float64 each.

    character_edits  edits of characters
    characters       characters of the true text
    word_edits       edits of words
    words            words of the true text
    """

    character_edits: Floats
    characters: Floats
    word_edits: Floats
    words: Floats

    def statistic(self, counts: Floats) -> dict[str, Floats]:
        """Counts (R, N) of the samples -> metric -> (R,), NaN where the true texts are empty."""
        edits, characters, word_edits, words = (counts @ part for part in vars(self).values())
        exact = counts @ (self.character_edits == 0).astype(np.float64) / counts.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "cer": np.where(characters > 0, edits / characters, np.nan),
                "wer": np.where(words > 0, word_edits / words, np.nan),
                "exact_match": exact,
            }


class EditState(MetricState):
    """Loss, character and word error rates, and the share of texts that are all right.

    A rate is the number of edits over the number of true characters or words of all samples together; it can be above
    1. Words are parted by white space. It keeps the texts of every sample.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary, self._loss = vocabulary, Mean()
        self._rows, self._indices = RowStore[Any](), RowStore[np.int64]()
        self._texts: list[tuple[str, str]] = []

    def update(self, prediction: Prediction) -> None:
        """outputs and targets: (B, U) token ids each, -1 in padding; their widths may differ."""
        self._loss.add(prediction)
        rows = []
        pairs = zip(prediction.outputs.tolist(), prediction.known_targets.tolist(), strict=True)
        for pair in pairs:
            found, true = (self._vocabulary.decode(n for n in ids if n != _PADDING) for ids in pair)
            words = found.split(), true.split()
            rows.append([edit_distance(found, true), len(true), edit_distance(*words), len(words[1])])
            self._texts.append((found, true))
        self._rows.append(np.array(rows, dtype=np.float64).reshape(-1, 4))
        self._indices.append(prediction.indices.cpu().numpy())

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        self._loss.merge(other._loss)
        self._rows.extend(other._rows)
        self._indices.extend(other._indices)
        self._texts += other._texts

    def compute(self) -> dict[str, float]:
        """The metrics of all samples. Raises ValueError without any."""
        counts = self.counts()
        found = counts.statistic(np.ones((1, len(counts.words))))
        return {"loss": self._loss.value(), **{name: float(value[0]) for name, value in found.items()}}

    def counts(self) -> EditCounts:
        """The counts of every sample. Raises ValueError without any."""
        if not len(self._rows):
            raise ValueError("no sample was evaluated")
        return EditCounts(*self._rows.joined().T)

    def indices(self) -> NDArray[np.int64]:
        """(N,) the number of each sample in its source."""
        return self._indices.joined()

    def texts(self) -> list[tuple[str, str]]:
        """(recognized, true) text of each sample."""
        return self._texts
