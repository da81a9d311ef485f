"""Whether labels have anything to do with inputs, and whether they would if they were moved by a row.

Symbols: N samples, K neighbors, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.runtime.seed import numbers

_DRAWS = 200  # permutations


@dataclass(frozen=True)
class NeighborAgreement:
    """How often near samples have the same label.

    Attributes:
        samples: N.
        agreement: Mean share of the nearest samples that have the label of a sample; of values the correlation of their
            ranks with the mean rank of the nearest samples.
        chance: The same with labels in a random order, mean.
        p_value: Share of random orders with as much agreement, in (0, 1]; at least 1/201.
        shift: Number of rows by which labels would have to be moved for the most agreement: -1, 0 or 1.
        shifted: The agreement with labels moved so.
        shifted_p_value: As p_value, of these, twice as large for two tries, at most 1.
    """

    samples: int
    agreement: float
    chance: float
    p_value: float
    shift: int
    shifted: float
    shifted_p_value: float

    @property
    def skill(self) -> float:
        """Agreement beyond chance, by the most that there could be: 1 is perfect, 0 is chance."""
        return (self.agreement - self.chance) / max(1 - self.chance, 1e-9)

    @property
    def shifted_skill(self) -> float:
        """The same with labels moved."""
        return (self.shifted - self.chance) / max(1 - self.chance, 1e-9)


def agreement_of_labels(
    neighbors: NDArray[np.int64],
    labels: NDArray[np.int64] | NDArray[np.float64],
    moved: dict[int, NDArray[np.int64] | NDArray[np.float64]],
    seed: int,
) -> NeighborAgreement:
    """The agreement of labels among near samples.

    Args:
        neighbors: (N, K) positions of the nearest other samples.
        labels: (N,) class numbers, or float64 values.
        moved: Shift -> (N,) the labels of the rows that many places later in the source.
        seed: Seed of the random orders.
    """
    labels = labels if labels.dtype.kind == "i" else _ranks(labels)
    rng = numbers(seed, "diagnosis", "agreement", len(labels))
    drawn = np.array([_agreement(neighbors, rng.permutation(labels)) for _ in range(_DRAWS)])
    own, p_value = _tested(neighbors, labels, drawn)
    shift, best, best_p = 0, own, p_value
    for number, others in moved.items():
        found, p_found = _tested(neighbors, others if others.dtype.kind == "i" else _ranks(others), drawn)
        if found > best:
            shift, best, best_p = number, found, min(1.0, len(moved) * p_found)
    return NeighborAgreement(len(labels), own, float(drawn.mean()), p_value, shift, best, best_p)


def shifted_labels(
    indices: NDArray[np.int64], known: NDArray[np.int64], labels: NDArray[np.generic], by: int
) -> NDArray[np.generic]:
    """(N,) the labels of the samples `by` places later in the source; their own where those are not known.

    Args:
        indices: (N,) sample numbers.
        known: (M,) all sample numbers whose labels are known, in ascending order.
        labels: (M,) their labels.
        by: The number of places.
    """
    wanted = indices + by
    place = np.searchsorted(known, wanted).clip(0, len(known) - 1)
    own = np.searchsorted(known, indices)
    return labels[np.where(known[place] == wanted, place, own)]


def _tested(
    neighbors: NDArray[np.int64], labels: NDArray[np.int64] | NDArray[np.float64], drawn: NDArray[np.float64]
) -> tuple[float, float]:
    found = _agreement(neighbors, labels)
    return found, float((1 + (drawn >= found).sum()) / (1 + len(drawn)))


def _agreement(neighbors: NDArray[np.int64], labels: NDArray[np.int64] | NDArray[np.float64]) -> float:
    if labels.dtype.kind == "i":
        return float((labels[neighbors] == labels[:, None]).mean())
    near = labels[neighbors].mean(axis=1)
    spread = float(near.std() * labels.std())
    return float(((near - near.mean()) * (labels - labels.mean())).mean()) / spread if spread > 0 else 0.0


def _ranks(values: NDArray[np.generic]) -> NDArray[np.float64]:
    _, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - counts / 2)[number], dtype=np.float64)
