"""Maximum likelihood: a network with an exact density learns to give the training data a high one.

Source: L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", ICLR 2017; L. Theis, A. van den
Oord, M. Bethge, "A note on the evaluation of generative models", ICLR 2016, for bits per dimension.

Symbols: B samples in a batch, N samples that are made, D numbers of a sample, C classes.
"""

from __future__ import annotations

from math import log, prod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.specs import DataSpec, ImageSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.generative.base import GenerativeTask, Sampling, class_weights
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Likelihood"]


@runtime_checkable
class Density(Protocol):
    """A network with an exact density, and the map between samples and standard normal noise; see models' `flow`."""

    num_classes: int

    def log_density(self, inputs: Tensor, places: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, *shape), (B, *shape) in [0, 1), (B, C) -> (B,) in nats."""

    def to_noise(self, inputs: Tensor, places: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) -> noise (B, D), and log |det| (B,)."""

    def from_noise(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """(N, D) -> (N, *shape)."""


class Likelihood(GenerativeTask):
    """The loss is the negative log density of a sample, in nats: of tables that of the standardized numbers.

    Of images it is the negative log probability of the levels of the pixels, at most: the density is that of a level
    plus noise of a step's width, which is drawn anew in each update, and its mean bounds the probability from below.
    """

    metrics = {"loss": "min", "nll": "min", "bits_per_dim": "min"}
    values = ("nll", "bits_per_dim")

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError for inputs without a shape."""
        del loss  # the density is the loss
        super().__init__(spec=spec)
        inputs = spec.inputs
        if not inputs.shape:
            raise ValueError(f"likelihood requires samples of one shape, not {inputs.kind}. Use images or a table.")
        self._size = prod(inputs.shape)
        levels = inputs.levels if isinstance(inputs, ImageSpec) else None
        self._step = log(levels) * self._size if levels else 0.0  # nats of D steps of 1 / levels

    def options(self, networks: Networks) -> frozenset[str]:
        """Classes, where the density is that of a class."""
        return frozenset({"classes"} if _checked(networks).num_classes else ())

    @property
    def score(self) -> str:
        """The negative log density."""
        return "nll"

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples of the batch."""
        found = self._nll(networks, batch)
        return LossOutput(found.mean(), {"bits_per_dim": self._bits(found).mean().detach()})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The negative log density of each sample."""
        found = self._nll(networks, batch)
        return Prediction(
            found[:, None], None, found.mean(), batch.indices, {"nll": found, "bits_per_dim": self._bits(found)}
        )

    def noise_shape(self, networks: Networks) -> tuple[int, ...]:
        """(D,)."""
        return (self._size,)

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """Noise (B, D) that `decoded` makes the same samples of, levels at the middle of their steps."""
        network, inputs = _checked(networks), as_tensor(batch.inputs)
        return network.to_noise(inputs, torch.full_like(inputs, 0.5), self._classes(network, batch))[0]

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, D) -> (N, *shape)."""
        network = _checked(networks)
        return network.from_noise(latents, sampling.classes if network.num_classes else None)

    def _nll(self, networks: Networks, batch: Batch) -> Tensor:
        network, inputs = _checked(networks), as_tensor(batch.inputs).float()
        places = torch.rand_like(inputs) if self._step else torch.zeros_like(inputs)
        with torch.autocast(inputs.device.type, enabled=False):  # a density in bf16 would have two digits
            return self._step - network.log_density(inputs, places, self._classes(network, batch))

    def _bits(self, nll: Tensor) -> Tensor:
        return nll / (self._size * log(2))

    def _classes(self, network: Density, batch: Batch) -> Tensor | None:
        return class_weights(batch, network.num_classes)


def _checked(networks: Networks) -> Density:
    network = networks["model"]
    if isinstance(network, Density):
        return network
    rule = f"requires a model with an exact density, and {type(network).__name__} has none"
    raise ConfigError.one("task", "likelihood", rule, "Use model=flow", code="incompatible-data")
