"""The contents of the panels in the figure of `dlexp data check`, without importing matplotlib."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlexp.report.figures.labels import short_labels

_MOST_CLASSES, _MOST_BARS = 25, 12


@dataclass(frozen=True)
class Panel:
    """One panel: a histogram, or named bars.

    Symbols: B bins or bars, S series.

    Attributes:
        edges: (B + 1,) edges of a histogram, (0,) for named bars.
        counts: (B,) height of each bin or bar; (S, B) for several series.
        names: B names of bars.
        series: S names.
    """

    title: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    label: str = ""
    unit: str = "rows"
    names: tuple[str, ...] = ()
    series: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, title: str, cells: NDArray[np.float64] | list[str]) -> Panel:
        """A panel of a table column: numbers in 30 bins, or the twelve most frequent categories."""
        if isinstance(cells, list):
            counts = Counter(cells).most_common()
            rest = sum(count for _, count in counts[_MOST_BARS:])
            shown = counts[:_MOST_BARS] + ([(f"{len(counts) - _MOST_BARS} others", rest)] if rest else [])
            values = np.array([count for _, count in shown], dtype=np.int64)
            return cls(title, np.empty(0), values, "rows", "rows", tuple(name for name, _ in shown))
        counted, edges = np.histogram(cells, bins=30)
        return cls(title, edges, counted, "value")

    @classmethod
    def classes(cls, names: Sequence[str], splits: Sequence[str], counts: NDArray[np.int64]) -> Panel:
        """A panel of samples (S, K) by split and class: with many classes, the most frequent and the rarest."""
        title = "samples per class"
        if len(names) > _MOST_CLASSES:
            order = (-counts[0]).argsort(kind="stable")
            half = _MOST_CLASSES // 2
            chosen = [*order[:half], *order[-half:]]
            title += f": the {half} most frequent and the {half} rarest of {len(names):,}"
            names, counts = [names[n] for n in chosen], counts[:, chosen]
        return cls(title, np.empty(0), counts, "samples", "samples", tuple(short_labels(names)), tuple(splits))
