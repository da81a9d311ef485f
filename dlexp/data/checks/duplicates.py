"""Samples that are there more than once: exact copies, near ones, and equal inputs with different answers.

Symbols: N samples, P pairs, T numbers of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS
from dlexp.findings import Finding, Severity, counted, finding

_SPOILT = 0.1  # share of a held-out split that was learnt: its figures say little of new images
_NOTABLE = 0.05  # the same of a table, where rows are equal by chance too
_BITS = 6  # of 64 that near copies may differ in
_ALIKE = 0.995  # correlation of their thumbnails
_AT_A_TIME, _PAIRS = 256, 1 << 16

Groups = list[NDArray[np.int64]]  # positions of samples that are equal, two or more in each


@dataclass(frozen=True)
class Samples:
    """Who the samples are.

    part   (N,) 0, 1 or 2: train, val or test
    named  positions (B,) -> what each is called
    """

    part: NDArray[np.int64]
    named: Callable[[NDArray[np.int64]], list[str]]

    def line(self, group: NDArray[np.int64]) -> str:
        """`A (train) = B (test)`; of many the first four."""
        names = [f"{name} ({SPLITS[self.part[n]]})" for n, name in zip(group[:4], self.named(group[:4]), strict=True)]
        return " = ".join(names) + (f" = {len(group) - 4:,} more" if len(group) > 4 else "")

    def learnt(self, groups: Groups) -> float:
        """Largest share of a held-out split that has its like in train."""
        has = np.zeros(len(self.part), dtype=np.bool_)
        for group in groups:
            has[group] = (self.part[group] == 0).any()
        return max((float(has[self.part == n].mean()) for n in (1, 2) if (self.part == n).any()), default=0.0)


def equal(keys: NDArray[np.generic]) -> Groups:
    """Positions with equal `keys` (N,), two or more in each group, by their first."""
    order = keys.argsort(kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(keys) else np.empty(0, dtype=np.int64)
    groups = [np.sort(group) for group in np.split(order, begins[1:]) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def rows_as_keys(rows: NDArray[np.generic]) -> NDArray[np.int64]:
    """(N, ...) -> (N,) numbers that are equal where all of a row is; -0 counts as 0."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1) + np.zeros(1, dtype=rows.dtype))
    _, found = np.unique(flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))), return_inverse=True)
    return found.reshape(-1).astype(np.int64)


def copies(groups: Groups, who: Samples, is_table: bool, refusal: str) -> list[Finding]:
    """Equal samples in more than one split, and within one.

    refusal  why training refuses copies across these splits, "" where it does not
    """
    across = [group for group in groups if len(set(who.part[group].tolist())) > 1]
    within = [group for group in groups if len(set(who.part[group].tolist())) == 1]
    found = []
    if across:
        share = who.learnt(across)
        severity: Severity = "warning"
        if refusal or (share >= _SPOILT and not is_table):
            severity = "error"
        elif is_table and share < _NOTABLE:
            severity = "note"
        is_or_are = counted(len(across), "row is" if is_table else "image is", "rows are" if is_table else "images are")
        what = (
            f"{is_or_are} in more than one split as exact copies; train has up to {_percent(share)} of a held-out split"
        )
        remedy = "delete the copies, or data.allow_duplicates=true" if refusal else "delete the copies"
        found.append(finding(severity, "copies across splits", what, [who.line(group) for group in across], remedy))
    if within:
        extra = sum(len(group) - 1 for group in within)
        what = f"{counted(extra, 'sample is a copy', 'samples are copies')} of another of its split"
        found.append(finding("note", "copies", what, [who.line(group) for group in within]))
    return found


def conflicts(groups: Groups, targets: NDArray[np.generic], who: Samples, is_class: bool) -> list[Finding]:
    """Equal inputs with different targets: nothing can learn both.

    targets  (N,) class numbers, or (N, O) values
    """
    apart = [group for group in groups if (targets[group] != targets[group[:1]]).any()]
    if not apart:
        return []
    total = sum(map(len, apart))
    what = f"{counted(total, 'sample has', 'samples have')} the inputs of another and a different target"
    severity: Severity = "warning" if is_class else "note"
    return [finding(severity, "conflict", what, [who.line(group) for group in apart], "correct or delete them")]


def near(
    hashes: NDArray[np.uint64], thumbs: NDArray[np.float32], keys: NDArray[np.generic], who: Samples
) -> list[Finding]:
    """Images of held-out splits that are almost those of another split: saved again, scaled, a little brighter.

    hashes  (N,) difference hashes of 64 bits
    thumbs  (N, T) of mean 0 and length 1; zeros for an image of one colour, which is near no other
    keys    (N,) equal for exact copies, which are another finding
    """
    pairs = [pair for pair in near_pairs(hashes, thumbs, who.part) if keys[pair[0]] != keys[pair[1]]]
    if not pairs:
        return []
    groups = [np.array(pair, dtype=np.int64) for pair in pairs]
    share = who.learnt(groups)
    what = f"{counted(len(pairs), 'image is', 'images are')} almost one of another split"
    what += f"; train has the like of up to {_percent(share)} of a held-out split"
    where = [who.line(group) for group in groups]
    return [
        finding("warning", "near copies across splits", what, where, "delete one of each, or split by what they show")
    ]


def near_pairs(
    hashes: NDArray[np.uint64], thumbs: NDArray[np.float32], part: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """(position in an earlier split, position of a held-out image) of the nearest for each that has one.

    Hashes tell who may be near, in chunks that bound the memory; thumbnails decide.
    """
    for held in (1, 2):
        mine, others = np.flatnonzero(part == held), np.flatnonzero(part < held)
        for start in range(0, len(mine), _AT_A_TIME):
            some = mine[start : start + _AT_A_TIME]
            apart = np.bitwise_count(hashes[some, None] ^ hashes[None, others])
            candidates = np.argwhere(apart <= _BITS)
            best = np.full(len(some), _ALIKE, dtype=np.float32)
            partner = np.full(len(some), -1, dtype=np.int64)
            for first in range(0, len(candidates), _PAIRS):
                left, right = candidates[first : first + _PAIRS].T
                alike = np.einsum("pt,pt->p", thumbs[some[left]], thumbs[others[right]])
                np.maximum.at(best, left, alike)
                nearest = alike == best[left]
                partner[left[nearest]] = others[right[nearest]]
            for position, other in zip(some.tolist(), partner.tolist(), strict=True):
                if other >= 0:
                    yield other, position


def _percent(share: float) -> str:
    return "0.1%" if 0 < share < 0.001 else f"{share:.1%}"
