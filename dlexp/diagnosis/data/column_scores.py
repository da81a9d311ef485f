"""How well each column of a table predicts the target alone.

At most 4,000 training rows and 1,000 columns are looked at.

Symbols: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.checks.leakage import predictability
from dlexp.data.columns import tensor_of
from dlexp.data.tables.original_units import original_columns
from dlexp.runtime.seed import numbers
from dlexp.specs import ClassSpec, TableSpec, ValueSpec

_MOST_ROWS, _MOST_COLUMNS = 4000, 1000


@dataclass(frozen=True)
class ColumnScores:
    """Scores of columns.

    Attributes:
        rows: Rows looked at.
        target: Name of the target.
        scores: Column -> score in rows that were not used for it, the best first: balanced accuracy of classes, or R2
            of the ranks of values; 1 is perfect.
        chance: The score of a column that tells nothing.
    """

    rows: int
    target: str
    scores: dict[str, float]
    chance: float


def column_scores(bundle: DataBundle, seed: int) -> list[ColumnScores]:
    """The scores of the columns, for each target; [] for other data than tables."""
    spec, split = bundle.spec, bundle.splits["train"]
    if not isinstance(spec.inputs, TableSpec) or not isinstance(spec.targets, ClassSpec | ValueSpec):
        return []
    chosen = np.sort(numbers(seed, "diagnosis", "columns").permutation(len(split))[:_MOST_ROWS])
    columns = original_columns(tensor_of(split.inputs).flatten(1).cpu().numpy()[chosen], bundle.preprocessing)
    values = tensor_of(split.targets).cpu().numpy()[chosen]
    targets = {"the target": values}
    if isinstance(spec.targets, ValueSpec):
        targets = {name: values[:, number].astype(np.float64) for number, name in enumerate(spec.targets.names)}
    found = []
    for target, numbers_of in targets.items():
        scores = {name: predictability(cells, numbers_of) for name, cells in list(columns.items())[:_MOST_COLUMNS]}
        ordered = dict(sorted(scores.items(), key=lambda item: -item[1]))
        chance = 1 / max(len(np.unique(numbers_of)), 1) if isinstance(spec.targets, ClassSpec) else 0.0
        found.append(ColumnScores(len(chosen), target, ordered, chance))
    return found
