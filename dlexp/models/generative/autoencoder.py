"""Autoencoders: an encoder to few numbers and a decoder back.

Symbols: B batch, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

from torch import Tensor, nn

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
    *, input_shape: tuple[int, ...], hidden: Sequence[int] = (128, 64), latent: int = 16, activation: str = "relu"
) -> EncoderDecoder:
    """Autoencoder of fully connected layers: (B, *input_shape) -> (B, *input_shape).

    Args:
        input_shape: Shape of a sample.
        hidden: Units of the encoder's hidden layers; the decoder has them in reverse.
        latent: Z.
        activation: Name of the activation.
    """
    widths = [prod(input_shape), *hidden, latent]
    encoder = nn.Sequential(nn.Flatten(), *_layers(widths, activation))
    decoder = nn.Sequential(*_layers(widths[::-1], activation), nn.Unflatten(1, input_shape))
    return EncoderDecoder(encoder, decoder)


def _layers(widths: Sequence[int], activation: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), activation_of(activation)]
    return layers[:-1]
