"""Autoencoder of series: a recurrent encoder to few numbers, a recurrent decoder back to every step.

Source: P. Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", arXiv:1607.00148; the
decoder reads the latents at each step, as in N. Srivastava et al., arXiv:1502.04681, without what it put out before.

Symbols: B batch, T steps of the longest series, C channels, Z latent numbers, H units.
"""

from __future__ import annotations

from torch import Tensor, nn

from dlexp.models.recurrent.layers import FusedRecurrence

__all__ = ["LstmAutoencoder", "lstm_autoencoder"]


class LstmAutoencoder(nn.Module):
    """decode(encode(x)) of series of any lengths; what is behind the end of a series changes nothing.

    Args:
        channels: C.
        units: H.
        layers: Layers of the encoder, and of the decoder.
        latent: Z.
        max_length: T of the longest series, which samples are made of.
    """

    def __init__(self, channels: int, units: int, layers: int, latent: int, max_length: int) -> None:
        super().__init__()
        self.latent, self.max_length = latent, max_length
        self.encoder = nn.ModuleList(FusedRecurrence("lstm", units if n else channels, units) for n in range(layers))
        self.to_latents = nn.Linear(units, latent)
        self.decoder = nn.ModuleList(FusedRecurrence("lstm", units if n else latent, units) for n in range(layers))
        self.to_steps = nn.Linear(units, channels)

    def encode(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, Z): from the state after the last step of each series."""
        for layer in self.encoder:
            values, _ = layer(values)
        at = (lengths - 1).clamp(min=0).to(values.device)[:, None, None].expand(-1, 1, values.shape[2])
        latents: Tensor = self.to_latents(values.gather(1, at).squeeze(1))
        return latents

    def decode(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """(B, Z) -> (B, T, C), T = `steps` or those of the longest series."""
        values = latents[:, None].expand(-1, self.max_length if steps is None else steps, -1)
        for layer in self.decoder:
            values, _ = layer(values)
        found: Tensor = self.to_steps(values)
        return found

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, C)."""
        return self.decode(self.encode(values, lengths), values.shape[1])


def lstm_autoencoder(
    *, in_channels: int, max_length: int, units: int = 64, layers: int = 1, latent: int = 16
) -> LstmAutoencoder:
    """LSTM autoencoder: (B, T, in_channels) and lengths (B,) -> (B, T, in_channels).

    Args:
        in_channels: C.
        max_length: Steps of the longest series.
        units: H of each layer.
        layers: Layers of the encoder, and of the decoder.
        latent: Z.
    """
    return LstmAutoencoder(in_channels, units, layers, latent, max_length)
