"""Images of noise in any number, for the benchmarks alone: dlexp reaches them through --config-dir and --trust.

Symbols: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Affine
from dlexp.specs import ClassSpec, DataSpec, ImageSpec

MEAN, STD = 127.5, 73.9  # of evenly spread bytes
SIZE = 32  # pixels


def pixels(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) and classes (N,) out of ten; the same at every call."""
    source = np.random.default_rng(0)
    return source.integers(0, 256, (count, 3, SIZE, SIZE), dtype=np.uint8), source.integers(0, 10, count)


def random_images(
    *,
    counts: Sequence[int],
    augment: str,
    pad: int,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
) -> DataBundle:
    """Ten classes, 32 by 32. The fractions and the seed of the split decide nothing here.

    counts  images for training, validation and test
    """
    inputs, targets = (torch.from_numpy(array) for array in pixels(sum(counts)))
    rows = torch.arange(len(targets))
    ends = list(accumulate(counts, initial=0))
    splits = {
        name: Split.in_memory(inputs[start:end], targets[start:end], rows[start:end])
        for name, start, end in zip(("train", "val", "test"), ends[:-1], ends[1:], strict=True)
    }
    return DataBundle(
        spec=DataSpec(ImageSpec(3, SIZE, SIZE), ClassSpec(tuple("0123456789"))),
        splits=splits,
        preprocess=Affine(torch.tensor(1 / STD), torch.tensor(-MEAN / STD)),
        fingerprint="random",
        preprocessing={"kind": "image"},
        augment=augment,
        pad=pad,
    )
