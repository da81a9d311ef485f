"""The numbers that a network puts out for classes, and the results of each sample.

A network that is sure puts out logits so far apart that its probabilities round to 1 and 0; then they rank nothing and
hide the loss of a sample. So wherever there are logits, everything is computed from them, in float64:

    log-odds of class c against the rest   ln p_c - ln(1 - p_c) = z_c - ln sum over the others of exp(z_j)
    -ln p of the true class                ln(1 + exp(-log-odds)), exact where p is next to 0 and where it is next to 1

The log-odds rank the samples as the exact probability does, and of two classes they are the difference of the logits.

Symbols: N samples, C classes, z logits, p probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
OutputKind = Literal["logits", "probabilities", "scores"]

_TINY = float(np.finfo(np.float32).tiny)  # probabilities that are given count as this where they are below it
_CELLS = 1 << 17  # of a block, 1 MiB in float64, which a cache holds


@dataclass(frozen=True)
class SampleResults:
    """The results of every sample, (N,) each.

    predicted   number of the class with the largest output; of equals the first
    confidence  the largest probability or score
    own         probability or score of the true class
    rank        how many classes come before the true one; of equals the lower number is first
    losses      -ln p of the true class, or by how much the largest other score exceeds the true one's
    brier       squared distance of the probabilities to the truth: of two classes that of the second alone, else the
                sum (Brier 1950); 0 where there are no probabilities
    """

    predicted: Numbers
    confidence: Floats
    own: Floats
    rank: Numbers
    losses: Floats
    brier: Floats


class ClassOutputs:
    """(N, C) numbers, in the parts in which they came: they may be most of the memory, so no copy of all is made."""

    def __init__(self, parts: Sequence[NDArray[Any]], kind: OutputKind, num_classes: int | None = None) -> None:
        """Wrap the outputs of a network.

        Args:
            parts: (n, C) each; none where only the results of the samples are kept, which is enough for any metric but
                the areas under curves.
            kind: meaning of the numbers.
            num_classes: C, to be given where there are no parts.
        """
        self._parts, self.kind = tuple(parts), kind
        self.num_classes = int(parts[0].shape[1]) if num_classes is None else num_classes

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    @property
    def is_probabilistic(self) -> bool:
        """True where there are probabilities."""
        return self.kind != "scores"

    def blocks(self) -> Iterator[Floats]:
        """The numbers as they came, in float64, some samples at a time, in order."""
        rows = max(1, _CELLS // self.num_classes)
        for part in self._parts:
            for start in range(0, len(part), rows):
                yield part[start : start + rows].astype(np.float64)

    def shown(self, block: Floats) -> Floats:
        """A block as probabilities, or as the scores that it holds."""
        return softmax(block) if self.kind == "logits" else block

    @cached_property
    def is_finite_row(self) -> NDArray[np.bool_]:
        """(N,) true for a sample without NaN and without infinity, except a logit of -inf beside finite ones."""
        if self.kind == "logits":
            return np.isfinite(self._normalizers)
        return np.concatenate([np.isfinite(block).all(axis=1) for block in self.blocks()])

    @property
    def is_finite(self) -> bool:
        """True where every row is finite in the sense of `is_finite_row`."""
        return bool(self.is_finite_row.all())

    def columns(self, first: int, last: int) -> Floats:
        """(N, last - first): the scores that rank the samples for each of these classes, higher for more certain."""
        found = np.concatenate([part[:, first:last].astype(np.float64) for part in self._parts])
        if self.kind != "logits":
            return found
        if self.num_classes == 2:
            other = np.concatenate([part[:, 2 - last : 2 - first][:, ::-1].astype(np.float64) for part in self._parts])
            return np.asarray(found - other)
        with np.errstate(invalid="ignore", divide="ignore"):
            found -= self._normalizers[:, None]
            found -= np.log1p(-np.exp(found))
        top, inside = self._top, (self._top >= first) & (self._top < last)
        found[inside, top[inside] - first] = self._top_log_odds[inside]
        return found

    def results(self, targets: Numbers) -> SampleResults:
        """Every sample against its true class, targets (N,)."""
        parts, start = [], 0
        for block in self.blocks():
            parts.append(self._results(block, targets[start : start + len(block)]))
            start += len(block)
        return SampleResults(*(np.concatenate([part[n] for part in parts]) for n in range(6)))

    @np.errstate(invalid="ignore", over="ignore", divide="ignore")
    def _results(self, block: Floats, targets: Numbers) -> tuple[Any, ...]:
        place = targets[:, None]
        own = np.take_along_axis(block, place, axis=1)
        before = (block == own) & (np.arange(self.num_classes) < place)
        rank = ((block > own) | before).sum(axis=1)
        predicted, shown = block.argmax(axis=1), self.shown(block)
        own_shown = np.take_along_axis(shown, place, axis=1)[:, 0]
        confidence = np.take_along_axis(shown, predicted[:, None], axis=1)[:, 0]
        if not self.is_probabilistic:
            others = block.copy()
            np.put_along_axis(others, place, -np.inf, axis=1)
            return predicted, confidence, own_shown, rank, others.max(axis=1) - own[:, 0], np.zeros(len(block))
        if self.kind == "logits":
            others = block.copy()
            np.put_along_axis(others, place, -np.inf, axis=1)
            losses = np.logaddexp(0.0, _log_sum(others)[1] - own[:, 0])
        else:
            losses = -np.log(np.maximum(own_shown, _TINY))
        distance = shown if shown is not block else shown.copy()
        if self.num_classes == 2:
            return predicted, confidence, own_shown, rank, losses, (distance[:, 1] - targets) ** 2
        np.put_along_axis(distance, place, own_shown[:, None] - 1, axis=1)
        return predicted, confidence, own_shown, rank, losses, (distance**2).sum(axis=1)

    @property
    def _normalizers(self) -> Floats:
        """(N,) ln of the sum of exp(z)."""
        return self._tops[0]

    @property
    def _top(self) -> Numbers:
        """(N,) the class of the largest logit."""
        return self._tops[1]

    @property
    def _top_log_odds(self) -> Floats:
        """(N,) its log-odds, from the other classes' logits: 1 - p would be 0."""
        return self._tops[2]

    @cached_property
    def _tops(self) -> tuple[Floats, Numbers, Floats]:
        found = []
        for block in self.blocks():
            largest, whole = _log_sum(block)
            top = block.argmax(axis=1)
            np.put_along_axis(block, top[:, None], -np.inf, axis=1)
            with np.errstate(invalid="ignore"):
                found.append((whole, top, largest - _log_sum(block)[1]))
        return (
            np.concatenate([whole for whole, _, _ in found]),
            np.concatenate([top for _, top, _ in found]),
            np.concatenate([odds for _, _, odds in found]),
        )


@np.errstate(invalid="ignore")  # outputs that are not finite stay visible as NaN
def softmax(block: Floats) -> Floats:
    """(n, C) logits -> probabilities; the one place where an evaluation and `dlexp predict` get them from."""
    odds = np.exp(block - block.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@np.errstate(invalid="ignore", divide="ignore")
def _log_sum(block: Floats) -> tuple[Floats, Floats]:
    """(n, C) -> (n,) twice: the largest, and ln of the sum of exp; -inf where all are."""
    largest = block.max(axis=1)
    base = np.where(np.isneginf(largest), 0.0, largest)
    return largest, np.asarray(base + np.log(np.exp(block - base[:, None]).sum(axis=1)))
