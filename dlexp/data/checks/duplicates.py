"""Checks for duplicates: exact duplicates, near-duplicates, and equal inputs with different targets.

Symbols: N samples, P pairs, T numbers of a thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS
from dlexp.findings import Finding, Severity, counted, finding

_ERROR_SHARE = 0.1  # of a held-out split that also occurs in train, above which its metrics are not valid
_WARNING_SHARE = 0.05  # the same for tables, whose rows may be equal by chance
_MAX_BITS = 6  # of 64 in which the hashes of near-duplicates may differ
_MIN_CORRELATION = 0.995  # of the thumbnails of near-duplicates
_CHUNK, _PAIRS = 256, 1 << 16

Groups = list[NDArray[np.int64]]  # positions of equal samples, two or more in each


@dataclass(frozen=True)
class Samples:
    """The samples of all splits.

    part   (N,) the split: 0, 1 or 2 for train, val or test
    named  positions (B,) -> the name of each, for messages
    """

    part: NDArray[np.int64]
    named: Callable[[NDArray[np.int64]], list[str]]

    def line(self, group: NDArray[np.int64]) -> str:
        """`A (train) = B (test)`, with at most four names."""
        names = [f"{name} ({SPLITS[self.part[n]]})" for n, name in zip(group[:4], self.named(group[:4]), strict=True)]
        return " = ".join(names) + (f" = {len(group) - 4:,} more" if len(group) > 4 else "")

    def share_in_train(self, groups: Groups) -> float:
        """The largest share of a held-out split with a duplicate in train."""
        has = np.zeros(len(self.part), dtype=np.bool_)
        for group in groups:
            has[group] = (self.part[group] == 0).any()
        return max((float(has[self.part == n].mean()) for n in (1, 2) if (self.part == n).any()), default=0.0)


def equal_groups(keys: NDArray[np.generic]) -> Groups:
    """Groups of positions with equal `keys` (N,), two or more in each, ordered by the first position."""
    order = keys.argsort(kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(keys) else np.empty(0, dtype=np.int64)
    groups = [np.sort(group) for group in np.split(order, starts[1:]) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def rows_as_keys(rows: NDArray[np.generic]) -> NDArray[np.int64]:
    """(N, ...) -> (N,) numbers, equal for equal rows; -0 equals 0."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1) + np.zeros(1, dtype=rows.dtype))
    _, found = np.unique(flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))), return_inverse=True)
    return found.reshape(-1).astype(np.int64)


def duplicates(groups: Groups, who: Samples, is_table: bool, refusal: str, noun: str = "") -> list[Finding]:
    """Findings for exact duplicates across splits and within a split.

    noun     what a sample is called; "" for row of a table, and image of others
    refusal  the reason why training rejects duplicates across these splits, "" if it accepts them
    """
    across = [group for group in groups if len(set(who.part[group].tolist())) > 1]
    within = [group for group in groups if len(set(who.part[group].tolist())) == 1]
    found = []
    if across:
        share = who.share_in_train(across)
        severity: Severity = "warning"
        if refusal or (share >= _ERROR_SHARE and not is_table):
            severity = "error"
        elif is_table and share < _WARNING_SHARE:
            severity = "note"
        noun = noun or ("row" if is_table else "image")
        is_or_are = counted(len(across), f"{noun} is", f"{noun}s are")
        what = f"{is_or_are} in more than one split; up to {_percent(share)} of a held-out split also occurs in train"
        remedy = "Delete the duplicates, or set data.allow_duplicates=true" if refusal else "Delete the duplicates."
        found.append(finding(severity, "duplicates across splits", what, [who.line(group) for group in across], remedy))
    if within:
        extra = sum(len(group) - 1 for group in within)
        what = (
            f"{counted(extra, 'sample is a duplicate', 'samples are duplicates')} of another sample in the same split"
        )
        found.append(finding("note", "duplicates", what, [who.line(group) for group in within]))
    return found


def conflicts(groups: Groups, targets: NDArray[np.generic], who: Samples, is_class: bool) -> list[Finding]:
    """Findings for equal inputs with different targets.

    targets  (N,) class numbers, or (N, O) values
    """
    conflicting = [group for group in groups if (targets[group] != targets[group[:1]]).any()]
    if not conflicting:
        return []
    total = sum(map(len, conflicting))
    what = f"{counted(total, 'sample has', 'samples have')} the same inputs as another, but a different target"
    severity: Severity = "warning" if is_class else "note"
    return [finding(severity, "conflict", what, [who.line(group) for group in conflicting], "Correct or delete them.")]


def near_duplicates(
    hashes: NDArray[np.uint64], thumbs: NDArray[np.float32], keys: NDArray[np.generic], who: Samples
) -> list[Finding]:
    """Findings for near-duplicates across splits, such as images saved again, scaled or slightly brighter.

    hashes  (N,) difference hashes of 64 bits
    thumbs  (N, T) thumbnails of mean 0 and length 1; zeros for an image of one color, which has no near-duplicates
    keys    (N,) equal for exact duplicates, which are another finding
    """
    pairs = [pair for pair in near_duplicate_pairs(hashes, thumbs, who.part) if keys[pair[0]] != keys[pair[1]]]
    if not pairs:
        return []
    groups = [np.array(pair, dtype=np.int64) for pair in pairs]
    share = who.share_in_train(groups)
    what = counted(len(pairs), "image is a near-duplicate", "images are near-duplicates")
    what += f" across splits; up to {_percent(share)} of a held-out split also occurs in train"
    where = [who.line(group) for group in groups]
    return [
        finding("warning", "near-duplicates across splits", what, where, "Delete one of each, or split by subject.")
    ]


def near_duplicate_pairs(
    hashes: NDArray[np.uint64], thumbs: NDArray[np.float32], part: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """(position in an earlier split, position of a held-out image) for each held-out image with a near-duplicate.

    Candidates are found by hash, in chunks of bounded memory, and confirmed by thumbnail.
    """
    for held_out in (1, 2):
        mine, others = np.flatnonzero(part == held_out), np.flatnonzero(part < held_out)
        for start in range(0, len(mine), _CHUNK):
            some = mine[start : start + _CHUNK]
            distances = np.bitwise_count(hashes[some, None] ^ hashes[None, others])
            candidates = np.argwhere(distances <= _MAX_BITS)
            best = np.full(len(some), _MIN_CORRELATION, dtype=np.float32)
            partner = np.full(len(some), -1, dtype=np.int64)
            for first in range(0, len(candidates), _PAIRS):
                left, right = candidates[first : first + _PAIRS].T
                similarity = np.einsum("pt,pt->p", thumbs[some[left]], thumbs[others[right]])
                np.maximum.at(best, left, similarity)
                nearest = similarity == best[left]
                partner[left[nearest]] = others[right[nearest]]
            for position, other in zip(some.tolist(), partner.tolist(), strict=True):
                if other >= 0:
                    yield other, position


def _percent(share: float) -> str:
    return "0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
