"""The adding problem (Hochreiter & Schmidhuber 1997): two marked numbers of a long series, whose sum is wanted.

Symbols: N series, T steps.
"""

from __future__ import annotations

import numpy as np
import torch

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import Dense, Ragged
from dlexp.data.preprocess import Identity
from dlexp.data.splitting import split_rows
from dlexp.data.targets import target_unit
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import DataSpec, ValueSpec

__all__ = ["adding"]


def adding(
    *,
    length: int = 50,
    num_samples: int = 10_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Series of `length` steps and two channels: a number in [0, 1), and 1 at two of the steps, 0 at the others.

    One step of each half is marked. The target is the sum of the two marked numbers; predicting its mean, 1, has a mean
    squared error of 1/6.
    """
    rng = np.random.default_rng(data_seed)
    values = rng.random((num_samples, length), dtype=np.float32)
    half = length // 2
    first, second = rng.integers(0, half, size=num_samples), rng.integers(half, length, size=num_samples)
    marks, every = np.zeros_like(values), np.arange(num_samples)
    marks[every, first] = marks[every, second] = 1
    series = np.stack([values, marks], axis=2)
    targets = (values[every, first].astype(np.float64) + values[every, second])[:, None]
    rows = split_rows(num_samples, (val_fraction, test_fraction, split_seed))
    mean, std = target_unit(targets, rows[0], ("sum",))
    splits = {}
    for name, some in zip(SPLITS, rows, strict=True):
        steps = torch.from_numpy(series[some].reshape(-1, 2))
        column = Ragged(steps, torch.arange(0, len(steps) + 1, length))
        splits[name] = Split(column, Dense(torch.from_numpy(targets[some])), torch.from_numpy(some))
    spec = DataSpec(SeriesSpec(2, length), ValueSpec(("sum",), mean, std))
    return DataBundle(spec, splits, Identity(), fingerprint_of(series, targets), {"kind": "series"})
