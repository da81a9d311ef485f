"""Conversion of encoded features back to columns in original units, for display.

Symbols: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.features.encodings import encoded_columns, first_features

ColumnValues = NDArray[np.float64] | list[str]  # (N,) numbers, or N names of categories


def original_columns(features: NDArray[np.float32], preprocessing: Mapping[str, Any]) -> dict[str, ColumnValues]:
    """The columns of features (N, F) by name, with the preprocessing of their bundle undone.

    A missing number is the median that replaced it; a missing or unknown category is "-"; a date is its first part.
    Without columns in the preprocessing, each feature is a column.
    """
    fitted = encoded_columns(preprocessing)
    places = first_features(fitted)
    if places[-1] != features.shape[1]:
        return {f"feature {number}": column.astype(np.float64) for number, column in enumerate(features.T)}
    return {
        fit.name: fit.original(features[:, first : first + fit.width].astype(np.float64))
        for fit, first in zip(fitted, places, strict=False)
    }
