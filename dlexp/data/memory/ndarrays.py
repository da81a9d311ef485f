"""The data source `ndarrays`: NumPy arrays or torch tensors handed over in Python, read like a file of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.memory.handed_over import PLACE, handed_over
from dlexp.data.sources.array_files import Arrays
from dlexp.data.sources.arrays import bundle_of_arrays, kind_of_target
from dlexp.data.splits.division import SplitBy
from dlexp.errors import ConfigError

__all__ = ["ndarrays", "target_kind"]


def ndarrays(
    *,
    inputs: str = "x",
    target: str = "y",
    target_kind: str = "auto",
    layout: str = "auto",
    in_memory: bool | str = "auto",
    workers: int | str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    standardize: bool = True,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """Load the arrays that were handed over by name; see `dlexp.data.sources.arrays.arrays`.

    Raises DataError for invalid data, ConfigError if no arrays were handed over.
    """
    return bundle_of_arrays(
        PLACE,
        given_arrays(),
        inputs=inputs,
        target=target,
        target_kind=target_kind,
        layout=layout,
        in_memory=in_memory,
        workers=workers,
        moments=(mean, std),
        standardize=standardize,
        how=(val_fraction, test_fraction, split_seed),
        augmentation=(augment, pad),
        by=SplitBy(group, time, split_column),
        anomalies=anomalies,
    )


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the array that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    return kind_of_target(PLACE, given_arrays(), arguments["inputs"], arguments["target"])


def given_arrays() -> Arrays:
    """The arrays that were handed over, by name. Raises ConfigError if none were, or a DataFrame was."""
    found = handed_over("arrays", "ndarrays", "data=arrays")
    if not isinstance(found, Mapping):
        rule = f"reads arrays by name, got {type(found).__name__}"
        raise ConfigError.one("data", "ndarrays", rule, "Pass data=(x, y).", code="invalid-type")
    return {name: _Reader(np.asarray(array)) for name, array in found.items()}


class _Reader:
    """An array, as a reader of a file gives it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    def __call__(self) -> NDArray[Any]:
        return self._array
