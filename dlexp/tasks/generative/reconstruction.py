"""Reconstruction by an autoencoder: the model learns to put out its own input through a narrow middle.

Source: G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313
(2006).

Symbols: B samples in a batch, Z latent numbers.
"""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.generative.base import GenerativeTask, Sampling
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Reconstruction"]


@runtime_checkable
class Autoencoder(Protocol):
    """A network of two halves; its output is the second after the first."""

    def encode(self, inputs: Tensor) -> Tensor:
        """(B, *shape) -> (B, Z)."""

    def decode(self, latents: Tensor) -> Tensor:
        """(B, Z) -> (B, *shape)."""


class Reconstruction(GenerativeTask):
    """Mean squared error between inputs and outputs."""

    metrics = {"loss": "min", "reconstruction": "min"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError for inputs without a shape."""
        del loss  # it compares inputs with outputs
        super().__init__(spec=spec)

    @property
    def score(self) -> str:
        """The reconstruction error."""
        return "reconstruction"

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples of their squared error, itself a mean over a sample's numbers."""
        return LossOutput(_errors(networks, batch)[1].mean())

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The reconstructions, and the error of each."""
        found, errors = _errors(networks, batch)
        return Prediction(found, None, errors.mean(), batch.indices, {"reconstruction": errors})

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """(B, Z)."""
        return _checked(networks).encode(as_tensor(batch.inputs))

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, Z) -> (N, *shape)."""
        return _checked(networks).decode(latents)


def _errors(networks: Networks, batch: Batch) -> tuple[Tensor, Tensor]:
    inputs = as_tensor(batch.inputs)
    found = cast(Tensor, networks["model"](inputs))
    return found, (found.float() - inputs).square().flatten(1).mean(1)


def _checked(networks: Networks) -> Autoencoder:
    network = networks["model"]
    if isinstance(network, Autoencoder):
        return network
    rule = f"requires a model that encodes and decodes, and {type(network).__name__} does not"
    raise ConfigError.one("task", "reconstruction", rule, "Use model=autoencoder", code="incompatible-data")
