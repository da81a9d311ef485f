"""CNN for text: kernels of several widths, each pooled over all positions (Kim 2014, arXiv:1408.5882).

Symbols: B samples, T positions of the longest sequence of the batch, C channels of a series, D size of the vector of
a token, W positions of a kernel, F kernels of one width, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.models.initialization import initialized
from dlexp.models.layers import activation as activation_of
from dlexp.models.sequences.inputs import (
    SeriesSteps,
    TokenVectors,
    at_least_one_position,
    kept_positions,
    position_vectors,
)

__all__ = ["text_cnn"]


class WindowMaxima(nn.Module):
    """The largest output of each kernel over the windows of a sequence: (B, T, D) -> (B, F).

    A window is within the sequence; one that is shorter than W has a single window, with zeros behind its end.
    """

    def __init__(self, inputs: int, filters: int, width: int, activation: str) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, filters, width)
        self.activation = activation_of(activation)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """`x` is zero at padded positions."""
        width = self.conv.kernel_size[0]
        found: Tensor = self.activation(self.conv(F.pad(x.transpose(1, 2), (0, width - 1))))
        own = x.new_full((len(x),), x.shape[1], dtype=torch.int64) if lengths is None else lengths
        windows = (own - width + 1).clamp(min=1)
        inside = torch.arange(found.shape[-1], device=x.device) < windows[:, None]
        return found.masked_fill(~inside[:, None], torch.finfo(found.dtype).min).amax(-1)


class TextCnn(nn.Module):
    """(B, T) token ids or (B, T, C) steps, and lengths (B,) -> (B, O)."""

    def __init__(
        self,
        vectors: TokenVectors | SeriesSteps,
        maxima: Sequence[WindowMaxima],
        dropout: float,
        output: nn.Linear,
    ) -> None:
        super().__init__()
        self.vectors, self.maxima = vectors, nn.ModuleList(maxima)
        self.dropout, self.output = nn.Dropout(dropout), output

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """-> (B, O)."""
        values = at_least_one_position(values)
        x = self.vectors(values)
        x = x.masked_fill(~kept_positions(values, lengths).unsqueeze(-1), 0)
        found: Tensor = self.output(self.dropout(torch.cat([part(x, lengths) for part in self.maxima], -1)))
        return found


def text_cnn(
    *,
    num_outputs: int,
    vocabulary_size: int | None = None,
    in_channels: int | None = None,
    per_position: bool = False,
    token: int = 128,
    widths: Sequence[int] = (3, 4, 5),
    filters: int = 100,
    activation: str = "relu",
    dropout: float = 0.5,
    init: str = "default",
) -> TextCnn:
    """CNN for text: (B, T) or (B, T, C) -> (B, O).

    Args:
        num_outputs: O.
        vocabulary_size: Number of tokens; None for a series.
        in_channels: C of a series.
        per_position: Must be false: there is one output for each sequence.
        token: Size D of the learned vector of a token.
        widths: Each W.
        filters: F.
        activation: Name of the activation.
        dropout: Probability in [0, 1) that an input of the output layer is zeroed in training.
        init: Initialization, as in dlexp.models.initialization.

    Raises ValueError for outputs at each position, unknown names, and data that are no sequences.
    """
    if per_position:
        raise ValueError("text_cnn puts out one prediction for each sequence, none for its positions. Use model=tcn")
    vectors = position_vectors("text_cnn", vocabulary_size, in_channels, token)
    maxima = [WindowMaxima(vectors.embedding_dim, filters, width, activation) for width in widths]
    return initialized(
        TextCnn(vectors, maxima, dropout, nn.Linear(filters * len(widths), num_outputs)), init, activation
    )
