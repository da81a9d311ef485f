"""Autoencoders: an encoder to few numbers and a decoder back.

Symbols: B batch, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from dlexp.models.generative.coders import CoderSizes, Decoder, Encoder
from dlexp.models.layers import activation as activation_of

__all__ = ["autoencoder"]


class EncoderDecoder(nn.Module):
    """decode(encode(x)) (Hinton & Salakhutdinov 2006)."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, inputs: Tensor) -> Tensor:
        """(B, *shape) -> (B, Z)."""
        return cast(Tensor, self.encoder(inputs))

    def decode(self, latents: Tensor) -> Tensor:
        """(B, Z) -> (B, *shape)."""
        return cast(Tensor, self.decoder(latents))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, *shape) -> (B, *shape)."""
        return self.decode(self.encode(inputs))


def autoencoder(
    *,
    input_shape: tuple[int, ...],
    layer_kind: str = "dense",
    hidden: Sequence[int] = (256,),
    channels: Sequence[int] = (32, 64),
    latent: int = 16,
    activation: str = "relu",
    latent_activation: str = "identity",
) -> EncoderDecoder:
    """Autoencoder: (B, *input_shape) -> (B, *input_shape).

    Args:
        input_shape: Shape of a sample.
        layer_kind: dense, convolutional, or auto: convolutional for images of 16 pixels and more.
        hidden: Units of a dense encoder's hidden layers; the decoder has them in reverse.
        channels: Of a convolutional encoder's layers, each of which halves height and width.
        latent: Z.
        activation: Name of the activation.
        latent_activation: Name of that of the latent numbers.
    """
    sizes = CoderSizes(layer_kind, hidden, channels, activation)
    first: nn.Module = Encoder(input_shape, latent, sizes)
    if latent_activation != "identity":
        first = nn.Sequential(first, activation_of(latent_activation))
    return EncoderDecoder(first, Decoder(latent, input_shape, sizes))
