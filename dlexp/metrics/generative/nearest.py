"""Nearest neighbors between two sets: near-copies of training samples, precision, recall, density, coverage.

Distances are Euclidean, and computed block by block in float64: memory does not grow with the product of the sets.

Symbols: N samples of a model, M real samples, D numbers of a sample or of its features, k neighbors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_BLOCK = 1 << 21  # distances at a time, 16 MiB
_SLACK = 1e-5  # relative to the size of the samples: what a copy is off by rounding

__all__ = ["Nearest", "Neighborhoods", "copy_threshold", "covered_modes", "in_modes", "nearest_of"]


@dataclass(frozen=True)
class Nearest:
    """The nearest member of a set for each of N samples.

    distances  (N,) Euclidean
    places     (N,) int64: positions in the set
    """

    distances: Floats
    places: NDArray[np.int64]


def nearest_of(samples: ArrayLike, pieces: Iterable[ArrayLike]) -> Nearest:
    """The nearest of a set that comes in pieces (M, D), for each sample (N, D). Raises ValueError for an empty set."""
    values = np.asarray(samples, dtype=np.float64)
    best = np.full(len(values), np.inf)
    places = np.full(len(values), -1, dtype=np.int64)
    first = 0
    for piece in pieces:
        members = np.asarray(piece, dtype=np.float64)
        for rows, distances in _blocks(values, members):
            found = distances.argmin(axis=1)
            least = distances[np.arange(len(found)), found]
            is_nearer = least < best[rows]
            best[rows] = np.where(is_nearer, least, best[rows])
            places[rows] = np.where(is_nearer, found + first, places[rows])
        first += len(members)
    if not first:
        raise ValueError("nothing is near in an empty set")
    return Nearest(best, places)


def copy_threshold(held_out: ArrayLike, scale: float, quantile: float = 0.01) -> float:
    """The distance up to which a sample counts as a copy of a training sample.

    So close to a training sample are only the closest `quantile` of real samples that were held out. Where these hold
    exact copies it is nearly 0 and not 0, since a network that copies rounds.

    Args:
        held_out: (M,) distances of held-out samples to their nearest training sample.
        scale: Euclidean size of a typical sample, for what rounding is.
        quantile: Share of the held-out samples that are at most so close.
    """
    return max(float(np.quantile(np.asarray(held_out, dtype=np.float64), quantile)), _SLACK * scale)


@dataclass(frozen=True)
class Neighborhoods:
    """The balls around the members of a set that reach to the k-th nearest other member (Kynkaanniemi et al. 2019).

    members  (M, D)
    radii    (M,)
    k        neighbors
    """

    members: Floats
    radii: Floats
    k: int

    @classmethod
    def of(cls, members: ArrayLike, k: int = 3) -> Neighborhoods:
        """Those of (M, D). Raises ValueError where M is not larger than k."""
        values = np.asarray(members, dtype=np.float64)
        if len(values) <= k:
            raise ValueError(f"{len(values)} samples have no {k}-th neighbor")
        radii = np.empty(len(values))
        for rows, distances in _blocks(values, values):
            distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = -1.0  # oneself comes first
            radii[rows] = np.partition(distances, k, axis=1)[:, k]
        return cls(values, radii, k)

    def holding(self, samples: ArrayLike) -> NDArray[np.int64]:
        """(N,) in how many balls each sample (N, D) lies.

        The share of samples of a model in at least one ball of real ones is its precision, that of real ones in the
        balls of its samples its recall; the sum by k N is its density (Naeem et al. 2020).
        """
        values = np.asarray(samples, dtype=np.float64)
        found = np.empty(len(values), dtype=np.int64)
        for rows, distances in _blocks(values, self.members):
            found[rows] = (distances <= self.radii).sum(axis=1)
        return found

    def covered(self, samples: ArrayLike) -> NDArray[np.bool_]:
        """(M,) whether a sample (N, D) lies in the ball of each member; their share is the coverage."""
        return nearest_of(self.members, [samples]).distances <= self.radii


def in_modes(samples: ArrayLike, centers: ArrayLike, radius: float) -> NDArray[np.int64]:
    """(N,) number of the nearest center (K, D) of each sample (N, D); -1 where it is farther away than `radius`."""
    found = nearest_of(samples, [centers])
    return np.where(found.distances <= radius, found.places, -1)


def covered_modes(places: NDArray[np.int64], num_modes: int, least: float = 0.1) -> int:
    """How many of K modes have at least `least` of an equal share of N samples; see `in_modes` for `places` (N,)."""
    counts = np.bincount(places[places >= 0], minlength=num_modes)
    return int((counts >= max(1.0, least * len(places) / num_modes)).sum())


def _blocks(values: Floats, members: Floats) -> Iterator[tuple[slice, Floats]]:
    """(rows, their distances (rows, M) to the members). Squares are of centered numbers, which lose fewer digits."""
    if not len(members):
        return
    middle = members.mean(axis=0)
    centered = members - middle
    squares = np.square(centered).sum(axis=1)
    step = max(1, _BLOCK // len(members))
    for start in range(0, len(values), step):
        rows = slice(start, min(start + step, len(values)))
        own = values[rows] - middle
        squared = np.square(own).sum(axis=1)[:, None] + squares - 2 * own @ centered.T
        yield rows, np.sqrt(np.maximum(squared, 0.0))
