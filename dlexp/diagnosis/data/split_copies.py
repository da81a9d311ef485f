"""Samples of held-out splits that occur in training too.

At most 10,000 training samples and 3,000 of each held-out split are looked at, drawn at random; the share of copies is
then of a part of the training samples, and divided by that part.

Symbols: N samples of all splits, B samples of a piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.checks.duplicates import near_duplicate_pairs
from dlexp.data.checks.image_scan import scan_images
from dlexp.runtime.seed import numbers
from dlexp.specs import ClassSpec, ImageSpec, ValueSpec
from dlexp.types import Field, Sequences, as_tensor

_MOST = {"train": 10_000, "val": 3_000, "test": 3_000}
_PIECE = 512


@dataclass(frozen=True)
class SplitCopies:
    """Copies of training samples in a held-out split.

    Attributes:
        split: Name of the held-out split.
        samples: Its samples looked at.
        copies: Those that are equal to a training sample.
        near: Images that are nearly equal to a training image, beside those.
        share: Estimated share of the split that occurs in training, equal or nearly equal.
        within: Share of the training samples that are equal to another one.
        same_target: Share of the equal and nearly equal samples whose target is the same; NaN without targets.
        by_chance: The same of random pairs.
        examples: Up to five pairs: (sample number in training, sample number here).
    """

    split: str
    samples: int
    copies: int
    near: int
    share: float
    within: float
    same_target: float
    by_chance: float
    examples: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Looked:
    keys: NDArray[np.int64]
    is_plain: NDArray[np.bool_]
    indices: NDArray[np.int64]
    targets: NDArray[Any] | None
    hashes: NDArray[np.uint64] | None = None
    thumbs: NDArray[np.float32] | None = None


def split_copies(bundle: DataBundle, seed: int) -> list[SplitCopies]:
    """The copies in validation and test split."""
    parts = [_look(bundle, name, seed) for name in SPLITS]
    train = parts[0]
    known, first, counts = np.unique(train.keys, return_index=True, return_counts=True)
    within = float(1 - (counts == 1).sum() / max(len(train.keys), 1))
    portion = len(train.keys) / max(len(bundle.splits["train"]), 1)
    found = []
    for number, (name, part) in enumerate(zip(SPLITS, parts, strict=True)):
        if name != "train" and len(part.keys):
            place = np.searchsorted(known, part.keys).clip(0, len(known) - 1)
            is_copy = (known[place] == part.keys) & ~part.is_plain
            equal = [(int(first[place[n]]), n) for n in np.flatnonzero(is_copy).tolist()]
            near = _near(train, part, is_copy)
            same, chance = _same_targets(train, part, [*equal, *near])
            pairs = [(int(train.indices[one]), int(part.indices[two])) for one, two in [*equal, *near][:5]]
            share = min(1.0, (int(is_copy.sum()) + len(near)) / len(part.keys) / portion)
            copies = int(is_copy.sum())
            found.append(
                SplitCopies(
                    SPLITS[number], len(part.keys), copies, len(near), share, within, same, chance, tuple(pairs)
                )
            )
    return found


def _look(bundle: DataBundle, name: str, seed: int) -> _Looked:
    split = bundle.splits[name]
    drawn = numbers(seed, "diagnosis", "copies", name).permutation(len(split))[: _MOST[name]]
    positions = torch.from_numpy(np.sort(drawn))
    indices = split.indices[positions].cpu().numpy()
    targets = _targets(bundle, split, positions)
    if isinstance(bundle.spec.inputs, ImageSpec) and len(positions):
        some = split if len(positions) == len(split) else split.select(positions)
        scan = scan_images(some, bundle.preprocessing.get("white"), len(some))
        keys = np.frombuffer(scan.digests.tobytes(), dtype=np.int64)[::2].copy()
        return _Looked(keys, scan.is_flat, indices, targets, scan.hashes, scan.thumbs)
    keys = np.array([key for piece in _pieces(split, positions) for key in _keys(piece)], dtype=np.int64)
    return _Looked(keys, np.zeros(len(keys), dtype=np.bool_), indices, targets)


def _pieces(split: Split, positions: Tensor) -> Iterator[Field]:
    if len(positions):
        yield from split.inputs.read(positions.split(_PIECE))


def _keys(given: Field) -> list[int]:
    """A number for each sample, equal for equal ones."""
    if isinstance(given, Tensor):
        rows = (given.cpu() + torch.zeros(1, dtype=given.dtype)).flatten(1).numpy()  # -0 becomes 0
        return [_hashed(row.tobytes()) for row in np.ascontiguousarray(rows)]
    if isinstance(given, Sequences):
        values = given.values.cpu().numpy()
        return [_hashed(row[:length].tobytes()) for row, length in zip(values, given.lengths.tolist(), strict=True)]
    parts = [_keys(value) for value in given.values()]
    return [_hashed(np.array(keys, dtype=np.int64).tobytes()) for keys in zip(*parts, strict=True)]


def _hashed(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def _targets(bundle: DataBundle, split: Split, positions: Tensor) -> NDArray[Any] | None:
    """(N,) class numbers or (N, O) values; None for others."""
    if not isinstance(bundle.spec.targets, ClassSpec | ValueSpec) or split.targets is None or not len(positions):
        return None
    return as_tensor(next(iter(split.targets.read([positions])))).cpu().numpy()


def _near(train: _Looked, part: _Looked, is_copy: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(position in train, position here) of nearly equal images that are not equal."""
    if train.hashes is None or train.thumbs is None or part.hashes is None or part.thumbs is None:
        return []
    hashes, thumbs = np.concatenate([train.hashes, part.hashes]), np.concatenate([train.thumbs, part.thumbs])
    which = np.repeat([0, 1], [len(train.keys), len(part.keys)])
    start = len(train.keys)
    pairs = ((one, other - start) for one, other in near_duplicate_pairs(hashes, thumbs, which))
    return [(one, other) for one, other in pairs if not is_copy[other]]


def _same_targets(train: _Looked, part: _Looked, pairs: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Share of the pairs whose targets are equal, and that of random pairs."""
    if train.targets is None or part.targets is None or not pairs:
        return float("nan"), float("nan")
    one, other = train.targets.reshape(len(train.keys), -1), part.targets.reshape(len(part.keys), -1)
    mine, theirs = np.array(pairs).T
    same = (one[mine] == other[theirs]).all(axis=1).mean()
    by_chance = np.mean([(one[:, 0] == target).mean() for target in other[theirs, 0]])
    return float(same), float(by_chance)
