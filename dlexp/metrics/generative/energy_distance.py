"""The energy distance between samples and data: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, 0 where they are alike.

It needs no network, sees missing modes as well as bad samples, and is a metric of every epoch: its cost and memory are
bounded.

Source: G. J. Szekely and M. L. Rizzo, "Energy statistics: A class of statistics based on distances", Journal of
Statistical Planning and Inference 143 (2013).

Symbols: B samples of a batch, N samples that are compared, D numbers of a sample.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dlexp.metrics.states import MetricState
from dlexp.runtime.seed import uniforms
from dlexp.types import Prediction

MOST = 1000  # samples of each kind
_NUMBERS = 1 << 23  # numbers that are kept of each kind, beyond which fewer samples are
_LEAST = 50


def energy_distance(left: Tensor, right: Tensor) -> float:
    """The unbiased estimate from samples (N, D) and (M, D): no sample is compared with itself, so it can be below 0.

    Raises ValueError for fewer than two samples of either.
    """
    if min(len(left), len(right)) < 2:
        raise ValueError(f"requires at least two samples of each, got {len(left)} and {len(right)}")
    left, right = left.double(), right.double()
    return float(2 * torch.cdist(left, right).mean() - _within(left) - _within(right))


def _within(samples: Tensor) -> Tensor:
    """The mean distance between two different samples."""
    return torch.cdist(samples, samples).fill_diagonal_(0).sum() / (len(samples) * (len(samples) - 1))


class EnergyDistance(MetricState):
    """The energy distance between `Prediction.outputs` and the data, `Prediction.extra["inputs"]`; (B, *shape) each.

    At most 1,000 samples are compared, fewer where they are large: those whose numbers have the smallest hashes, so
    that neither the order of the batches nor the number of processes matters, and every epoch compares the same.
    """

    def __init__(self) -> None:
        self._numbers = torch.zeros(0, dtype=torch.int64)
        self._hashes = torch.zeros(0)
        self._pairs: Tensor | None = None  # (N, 2, D): sample, datum

    def update(self, prediction: Prediction) -> None:
        """Add the samples of a batch."""
        both = (prediction.outputs, prediction.extra["inputs"])
        pairs = torch.stack([values.flatten(1).float() for values in both], dim=1)
        numbers = prediction.indices.cpu()
        self._add(numbers, uniforms(0, 0, numbers, 1, "energy distance")[:, 0], pairs.cpu())

    def merge(self, other: EnergyDistance) -> None:
        """Add the samples of another state."""
        if other._pairs is not None:
            self._add(other._numbers, other._hashes, other._pairs)

    def compute(self) -> dict[str, float]:
        """`energy_distance`, in units of the network's inputs; NaN where a sample is not finite.

        Raises ValueError when there was no sample.
        """
        if self._pairs is None:
            raise ValueError("no sample was seen")
        order = self._numbers.argsort()
        made, data = self._pairs[order].unbind(1)
        if len(order) < 2 or not made.isfinite().all():
            return {"energy_distance": float("nan")}
        return {"energy_distance": energy_distance(made, data)}

    def _add(self, numbers: Tensor, hashes: Tensor, pairs: Tensor) -> None:
        if self._pairs is not None:
            numbers, hashes = torch.cat([self._numbers, numbers]), torch.cat([self._hashes, hashes])
        most = min(MOST, max(_LEAST, _NUMBERS // pairs.shape[-1]))
        kept = torch.argsort(hashes, stable=True)[:most]
        if self._pairs is not None:
            before = len(self._pairs)
            if len(kept) == before and bool((kept < before).all()):
                return
            pairs = torch.cat([self._pairs, pairs])
        self._numbers, self._hashes, self._pairs = numbers[kept], hashes[kept], pairs[kept]
