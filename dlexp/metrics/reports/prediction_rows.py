"""The lines of predictions.csv: made as they are written, since with many samples or classes they are most of the work.

Symbols: N samples, C classes, O targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.confusion import Numbers
from dlexp.metrics.regression import ValueSamples

MOST_CLASSES = 1000  # with a column each; of more classes the first few of each sample are written
TOP = 5
_ROWS = 4096  # at a time


class ClassRows:
    """A line a sample, in order; iterate as often as needed.

    header  row, true, predicted; of probabilities confidence and log_loss, which is -ln p of the true class and has
            digits where p is 0 or 1; then the number of every class. Above `MOST_CLASSES` classes that of the true
            class and the `TOP` classes of the largest numbers with theirs
    """

    def __init__(self, indices: Numbers, names: Sequence[str], samples: ClassSamples, meaning: str) -> None:
        self._indices, self._names, self._samples = indices, names, samples
        self.is_cut = len(names) > MOST_CLASSES
        probable = ["confidence", "log_loss"] if samples.outputs.is_probabilistic else []
        if self.is_cut:
            numbers = [f"{meaning}(true)"]
            numbers += [text for n in range(1, TOP + 1) for text in (f"top_{n}", f"{meaning}_{n}")]
        else:
            numbers = [f"{meaning}({name})" for name in names]
        self.header = ["row", "true", "predicted", *probable, *numbers]

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[list[Any]]:
        samples, names, start = self._samples, self._names, 0
        outputs, results = samples.outputs, samples.results
        more = [results.confidence, results.losses] if outputs.is_probabilistic else []
        more += [results.own] if self.is_cut else []
        for block in outputs.blocks():
            numbers = self._cut(block) if self.is_cut else outputs.shown(block).tolist()
            part = slice(start, start + len(block))
            known = (column[part].tolist() for column in (self._indices, samples.targets, results.predicted, *more))
            for line, (index, true, predicted, *own) in zip(numbers, zip(*known, strict=True), strict=True):
                yield [index, names[true], names[predicted], *own, *line]
            start += len(block)

    def _cut(self, block: Any) -> list[list[Any]]:
        """The first classes of each sample with their numbers, the largest first; of equals the lower number is."""
        some = np.sort(np.argpartition(-block, TOP - 1, axis=1)[:, :TOP], axis=1)
        own = np.take_along_axis(block, some, axis=1)
        order = np.take_along_axis(some, np.argsort(-own, axis=1, kind="stable"), axis=1)
        shown = np.take_along_axis(self._samples.outputs.shown(block), order, axis=1)
        return [
            [cell for number, value in zip(places, values, strict=True) for cell in (self._names[number], value)]
            for places, values in zip(order.tolist(), shown.tolist(), strict=True)
        ]


class ValueRows:
    """A line a sample, in order; iterate as often as needed.

    header  row; true and predicted value of each target; then each extra value of each target
    """

    def __init__(
        self, indices: Numbers, names: Sequence[str], samples: ValueSamples, extra: Mapping[str, Floats]
    ) -> None:
        self._indices, self._samples, self._extra = indices, samples, extra
        pairs = [f"{kind} {name}" for name in names for kind in ("true", "predicted")]
        self.header = ["row", *pairs, *(f"{more} {name}" for more in extra for name in names)]

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[list[Any]]:
        for start in range(0, len(self), _ROWS):
            yield from self.of(np.arange(start, min(start + _ROWS, len(self))))

    def of(self, positions: Numbers) -> list[list[Any]]:
        """The lines of some samples."""
        true, predicted = self._samples.true[positions], self._samples.predicted[positions]
        pairs = np.stack([true, predicted], axis=2).reshape(len(positions), -1)
        numbers = np.concatenate([pairs, *(values[positions] for values in self._extra.values())], axis=1)
        return [[index, *line] for index, line in zip(self._indices[positions].tolist(), numbers.tolist(), strict=True)]
