"""What a panel of the picture of `dlexp data check` shows, without the library that draws it."""

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
    """One part of the picture: a histogram, or bars with names.

    edges   (B + 1,) of the B bins of a histogram, (0,) where there are bars with names
    counts  (B,) what each bin or bar holds; (S, B) for a bar of each of S series
    names   B names
    series  S names
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
        """A column of a table: numbers in 30 bins; of categories the most frequent twelve."""
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
        """Samples (S, K) of each class in each split: of many classes the most frequent and the rarest."""
        title = "samples of each class"
        if len(names) > _MOST_CLASSES:
            order = (-counts[0]).argsort(kind="stable")
            half = _MOST_CLASSES // 2
            chosen = [*order[:half], *order[-half:]]
            title += f": the {half} most frequent and the {half} rarest of {len(names):,}"
            names, counts = [names[n] for n in chosen], counts[:, chosen]
        return cls(title, np.empty(0), counts, "samples", "samples", tuple(short_labels(names)), tuple(splits))
