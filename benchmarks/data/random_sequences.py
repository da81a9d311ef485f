"""Token sequences of noise, for the benchmarks alone: dlexp reaches them through --config-dir and --trust.

Symbols: N sequences, T positions of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Identity
from dlexp.sequence_specs import NextTokenSpec, TokenSpec
from dlexp.specs import ClassSpec, DataSpec
from dlexp.types import Sequences

VOCABULARY, SHORTEST, LONGEST = 1000, 10, 60
WINDOW = 64  # tokens of a window of text


def tokens(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids (N, T) padded with zeros, lengths (N,) and classes (N,) out of ten; the same at every call."""
    source = np.random.default_rng(0)
    ids = torch.from_numpy(source.integers(1, VOCABULARY, (count, LONGEST)))
    lengths = torch.from_numpy(source.integers(SHORTEST, LONGEST + 1, count))
    lengths[::64] = LONGEST
    classes = torch.from_numpy(source.integers(0, 10, count))
    return ids * (torch.arange(LONGEST) < lengths[:, None]), lengths, classes


def windows(count: int) -> tuple[Tensor, Tensor]:
    """Windows of text (N, T) and the tokens after each position (N, T); the same at every call."""
    text = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, count * WINDOW + 1))
    return text[:-1].view(count, WINDOW), text[1:].view(count, WINDOW)


def random_text(*, counts: Sequence[int], val_fraction: float, test_fraction: float, split_seed: int) -> DataBundle:
    """Windows of a text of noise; the other arguments are those of `random_sequences`."""
    inputs, targets = windows(sum(counts))
    lengths, rows = torch.full((len(inputs),), WINDOW), torch.arange(len(inputs))
    ends = list(accumulate(counts, initial=0))
    splits = {}
    for name, start, end in zip(("train", "val", "test"), ends[:-1], ends[1:], strict=True):
        x, y = (Sequences(part[start:end], lengths[start:end]) for part in (inputs, targets))
        splits[name] = Split.in_memory(x, y, rows[start:end])
    spec = DataSpec(TokenSpec(VOCABULARY, WINDOW), NextTokenSpec(VOCABULARY, WINDOW))
    return DataBundle(spec, splits, Identity(), "random", {})


def random_sequences(
    *, counts: Sequence[int], val_fraction: float, test_fraction: float, split_seed: int
) -> DataBundle:
    """Ten classes, 10 to 60 tokens. The fractions and the seed of the split decide nothing here.

    counts  sequences for training, validation and test
    """
    ids, lengths, classes = tokens(sum(counts))
    rows = torch.arange(len(classes))
    ends = list(accumulate(counts, initial=0))
    splits = {
        name: Split.in_memory(Sequences(ids[start:end], lengths[start:end]), classes[start:end], rows[start:end])
        for name, start, end in zip(("train", "val", "test"), ends[:-1], ends[1:], strict=True)
    }
    spec = DataSpec(TokenSpec(VOCABULARY, LONGEST), ClassSpec(tuple("0123456789")))
    return DataBundle(spec, splits, Identity(), "random", {})
