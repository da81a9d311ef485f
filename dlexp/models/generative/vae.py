"""Variational autoencoders (Kingma & Welling 2014, arXiv:1312.6114), with classes as a condition (Sohn et al. 2015).

Symbols: B batch, Z latent numbers, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlexp.models.generative.coders import CoderSizes, Decoder, Encoder

__all__ = ["vae"]

_LARGEST = 20.0  # of a logarithm of a variance: beyond it a float32 exponential leaves no room for a gradient


class VariationalAutoencoder(nn.Module):
    """An encoder to mean and log variance of Z numbers, and a decoder back; with classes both see their weights.

    Attributes:
        latent: Z.
        num_classes: C, 0 without classes.
    """

    def __init__(self, input_shape: tuple[int, ...], latent: int, num_classes: int, sizes: CoderSizes) -> None:
        super().__init__()
        self.latent, self.num_classes = latent, num_classes
        self.encoder = Encoder(input_shape, 2 * latent, sizes, more=num_classes)
        self.decoder = Decoder(latent + num_classes, input_shape, sizes)

    def encode(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape), (B, C) -> mean and log variance, (B, Z) float32 each, the second in [-20, 20]."""
        mean, log_variance = self.encoder(inputs, self._weights(classes)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-_LARGEST, _LARGEST)

    def decode(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, Z), (B, C) -> (B, *shape): logits, or means."""
        weights = self._weights(classes)
        found: Tensor = self.decoder(latents if weights is None else torch.cat([latents, weights], dim=1))
        return found

    def forward(self, inputs: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, *shape), (B, C) -> (B, *shape): what is decoded of the mean."""
        return self.decode(self.encode(inputs, classes)[0], classes)

    def _weights(self, classes: Tensor | None) -> Tensor | None:
        """(B, C). Raises ValueError where classes are lacking, or not wanted."""
        if not self.num_classes:
            return None
        if classes is None:
            raise ValueError(f"this network requires the weights of {self.num_classes} classes")
        return classes


def vae(
    *,
    input_shape: tuple[int, ...],
    num_classes: int = 0,
    layer_kind: str = "dense",
    hidden: Sequence[int] = (512,),
    channels: Sequence[int] = (32, 64),
    latent: int = 16,
    activation: str = "relu",
    conditional: bool = False,
) -> VariationalAutoencoder:
    """Variational autoencoder: (B, *input_shape) -> (B, *input_shape) logits or means.

    652,824 parameters for (1, 28, 28), layer_kind=dense, hidden=[400] and latent=20.

    Args:
        input_shape: Shape of a sample.
        num_classes: C of the data, 0 without classes.
        layer_kind: dense, convolutional, or auto: convolutional for images of 16 pixels and more.
        hidden: Units of a dense encoder's hidden layers; the decoder has them in reverse.
        channels: Of a convolutional encoder's layers, each of which halves height and width.
        latent: Z.
        activation: Name of the activation.
        conditional: Whether encoder and decoder see the class.

    Raises ValueError for conditional=True with data without classes.
    """
    if conditional and not num_classes:
        raise ValueError("model.conditional=true requires data with classes. Set model.conditional=false")
    sizes = CoderSizes(layer_kind, hidden, channels, activation)
    return VariationalAutoencoder(input_shape, latent, num_classes if conditional else 0, sizes)
