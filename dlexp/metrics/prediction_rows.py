"""The lines of predictions.csv for classes: made as they are written, for with many classes they are most of the work.

Symbols: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlexp.metrics.class_samples import ClassSamples

MOST_CLASSES = 1000  # with a column each; of more classes the first few of each sample are written
TOP = 5


class ClassRows:
    """A line a sample, in order; iterate as often as needed.

    header  row, true, predicted; of probabilities confidence and log_loss, which is -ln p of the true class and has
            digits where p is 0 or 1; then the number of every class. Above `MOST_CLASSES` classes that of the true
            class and the `TOP` classes of the largest numbers with theirs
    """

    def __init__(self, rows: Sequence[int], names: Sequence[str], samples: ClassSamples, meaning: str) -> None:
        self._rows, self._names, self._samples = rows, names, samples
        self.is_cut = len(names) > MOST_CLASSES
        probable = ["confidence", "log_loss"] if samples.outputs.probabilistic else []
        if self.is_cut:
            numbers = [f"{meaning}(true)"]
            numbers += [text for n in range(1, TOP + 1) for text in (f"top_{n}", f"{meaning}_{n}")]
        else:
            numbers = [f"{meaning}({name})" for name in names]
        self.header = ["row", "true", "predicted", *probable, *numbers]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[list[Any]]:
        samples, names, start = self._samples, self._names, 0
        outputs, judged = samples.outputs, samples.judged
        for block in outputs.blocks():
            numbers = self._cut(block) if self.is_cut else outputs.shown(block).tolist()
            for n, line in enumerate(numbers, start=start):
                own = [float(judged.own[n])] if self.is_cut else []
                sure = [float(judged.confidence[n]), float(judged.losses[n])] if outputs.probabilistic else []
                known = [int(self._rows[n]), names[samples.targets[n]], names[judged.predicted[n]]]
                yield [*known, *sure, *own, *line]
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
