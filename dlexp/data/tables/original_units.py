"""Features back to the columns that they were made of, in their own units: what a person wants to look at.

Symbols: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.float64] | list[str]  # (N,) numbers, or N names of categories


def columns_of(features: NDArray[np.float32], preprocessing: Mapping[str, Any]) -> dict[str, Cells]:
    """(N, F) and what a bundle says of its preprocessing -> name of a column -> its cells, as they came.

    A number that was missing is the median that took its place; a category that training rows never had is "-". Samples
    of no table have their features as columns.
    """
    fitted: Sequence[Mapping[str, Any]] = preprocessing.get("columns", ())
    widths = [len(fit["categories"]) if fit["kind"] == "category" else 1 for fit in fitted]
    if sum(widths) != features.shape[1]:
        return {f"feature {number}": column.astype(np.float64) for number, column in enumerate(features.T)}
    found: dict[str, Cells] = {}
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
