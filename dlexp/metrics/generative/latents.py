"""What the latents of a variational autoencoder carry: nats of each, and how many carry nothing.

Symbols: B batch, Z latent numbers.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.states import MetricState
from dlexp.types import Prediction

LATENTS, KL_OF_LATENTS = "latents", "kl_of_latents"  # keys of `Prediction.extra`: (B, Z) means, and nats
COLLAPSED = 0.01  # nats on average, below which a latent says nothing of a sample


class LatentUse(MetricState):
    """Sums over the samples of each latent's KL, and of its mean and the mean's square."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: Floats = np.zeros((3, 1))

    def update(self, prediction: Prediction) -> None:
        """Add a batch with `LATENTS` and `KL_OF_LATENTS`."""
        means, divergence = (
            prediction.extra[name].detach().double().cpu().numpy() for name in (LATENTS, KL_OF_LATENTS)
        )
        self._count += len(means)
        self._sums = self._sums + np.stack([divergence.sum(0), means.sum(0), (means**2).sum(0)])

    def merge(self, other: Self) -> None:
        """Add the sums of another state."""
        self._count += other._count
        self._sums = self._sums + other._sums

    def compute(self) -> dict[str, float]:
        """`collapsed_latents`: how many have a KL below 0.01 nats. Raises ValueError when there was no sample."""
        return {"collapsed_latents": float((self.kl() < COLLAPSED).sum())}

    def kl(self) -> Floats:
        """(Z,) mean over the samples, in nats. Raises ValueError when there was no sample."""
        if not self._count:
            raise ValueError("no sample was evaluated")
        return np.asarray(self._sums[0] / self._count)

    def deviation_of_means(self) -> Floats:
        """(Z,) standard deviation over the samples of the mean of each latent."""
        mean, squares = self._sums[1] / self._count, self._sums[2] / self._count
        return np.asarray(np.sqrt(np.maximum(squares - mean**2, 0.0)))
