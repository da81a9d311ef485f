"""Conversion of encoded features back to columns in original units, for display.

Symbols: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ColumnValues = NDArray[np.float64] | list[str]  # (N,) numbers, or N names of categories


def original_columns(features: NDArray[np.float32], preprocessing: Mapping[str, Any]) -> dict[str, ColumnValues]:
    """The columns of features (N, F) by name, with the preprocessing of their bundle undone.

    A missing number is the median that replaced it; a missing or unknown category is "-". Without columns in the
    preprocessing, each feature is a column.
    """
    fitted: Sequence[Mapping[str, Any]] = preprocessing.get("columns", ())
    widths = [len(fit["categories"]) if fit["kind"] == "category" else 1 for fit in fitted]
    if sum(widths) != features.shape[1]:
        return {f"feature {number}": column.astype(np.float64) for number, column in enumerate(features.T)}
    found: dict[str, ColumnValues] = {}
    first = 0
    for fit, width in zip(fitted, widths, strict=True):
        block = features[:, first : first + width].astype(np.float64)
        first += width
        if fit["kind"] == "category":
            names = fit["categories"]
            found[fit["name"]] = [names[int(row.argmax())] if row.any() else "-" for row in block]
        else:
            found[fit["name"]] = block[:, 0] * fit["std"] + fit["mean"]
    return found
