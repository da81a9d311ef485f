"""Pairs of token sequences as a DataBundle.

Symbols: N pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import Ragged
from dlexp.data.preprocess import Identity
from dlexp.data.splitting import Rows
from dlexp.sequence_specs import TokenSpec, TokenTargetSpec
from dlexp.specs import DataSpec
from dlexp.text.vocabulary import Vocabulary

Ids = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Pairs:
    """N pairs as token ids, and how texts become them.

    sources  N sequences of ids
    targets  N sequences of ids, without `begin` and `end`
    texts    N pairs of texts, for the fingerprint
    """

    sources: Ids
    targets: Ids
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    texts: Sequence[tuple[str, str]] = field(default_factory=tuple)


def bundle_of_pairs(
    pairs: Pairs,
    rows: tuple[Rows, Rows, Rows],
    lengths: tuple[int, int] = (0, 0),
    notes: tuple[str, ...] = (),
    preprocessing: Mapping[str, Any] | None = None,
    named: Callable[[NDArray[np.int64]], list[str]] | None = None,
) -> DataBundle:
    """The bundle of some pairs; each target ends with `end`.

    Args:
        pairs: N pairs.
        rows: Numbers of the pairs in train, val and test; pairs in none of them are left out.
        lengths: Largest number of tokens of a source, and of a target with its `end`; 0 for those of the pairs.
        notes: Messages to the user.
        preprocessing: More plain values that the run keeps.
        named: What the source calls each pair.
    """
    targets = [[*ids, pairs.target_vocabulary.end] for ids in pairs.targets]
    longest = [
        given or max(map(len, ids), default=1) for given, ids in zip(lengths, (pairs.sources, targets), strict=True)
    ]
    first, second = pairs.source_vocabulary, pairs.target_vocabulary
    spec = DataSpec(
        TokenSpec(len(first), max(1, longest[0]), first),
        TokenTargetSpec(len(second), longest[1], second.begin, second.end, second),
    )
    splits = {
        name: Split(_ragged(pairs.sources, some), _ragged(targets, some), torch.from_numpy(some))
        for name, some in zip(SPLITS, rows, strict=True)
    }
    lines = "\n".join(f"{source}\t{target}" for source, target in pairs.texts)
    fingerprint = fingerprint_of(np.frombuffer(lines.encode(), dtype=np.uint8))
    kept = {"kind": "pairs", "source": "table", "text": ["source"], **(preprocessing or {})}
    return DataBundle(spec, splits, Identity(), fingerprint, kept, notes=notes, named=named)


def _ragged(ids: Ids, rows: Rows) -> Ragged:
    chosen = [ids[row] for row in rows.tolist()]
    values = np.fromiter((token for one in chosen for token in one), dtype=np.int64)
    offsets = np.cumsum([0, *map(len, chosen)])
    return Ragged(torch.from_numpy(values), torch.from_numpy(offsets.astype(np.int64)))
