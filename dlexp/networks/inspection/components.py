"""Principal components of features, and how well neighbors agree.

Symbols: N samples, F features, K components.
"""

from __future__ import annotations

import torch
from torch import Tensor


def principal_components(features: Tensor, count: int = 2) -> tuple[Tensor, list[float]]:
    """The projections (N, K) on the first components, and the share of the variance of each.

    The sign of a component is that of its largest loading, so that equal features give equal figures.
    Components that the features do not have are 0.

    Args:
        features: (N, F), finite.
        count: K.
    """
    centered = features.double() - features.double().mean(dim=0)
    left, sizes, right = torch.linalg.svd(centered, full_matrices=False)
    largest = right.abs().argmax(dim=1, keepdim=True)
    signs = right.gather(1, largest).sign().flatten()
    shown = min(count, len(sizes))
    projected = torch.zeros(len(features), count, dtype=torch.float64)
    projected[:, :shown] = (left * sizes * signs)[:, :shown]
    variance = sizes.square()
    shares = (variance / variance.sum().clamp_min(torch.finfo(torch.float64).tiny)).tolist()
    return projected, [*shares[:count], *[0.0] * (count - shown)]


def neighbor_agreement(features: Tensor, classes: Tensor) -> float:
    """The share of samples whose nearest other sample is of the same class: features (N, F), classes (N,)."""
    distances = torch.cdist(features.double(), features.double())
    distances.fill_diagonal_(float("inf"))
    return float((classes[distances.argmin(dim=1)] == classes).double().mean())
