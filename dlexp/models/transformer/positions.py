"""How a transformer learns the order of its tokens.

Symbols: B samples, T positions, D size of a token, H heads, E size of a head, Q queries, K keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn

KINDS = ("sinusoidal", "learned", "rotary", "alibi", "none")
Rotation = tuple[Tensor, Tensor]  # cosines and sines, (B or 1, 1, T, E / 2)


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """Sines in even and cosines in odd places (Vaswani et al. 2017), of any position and any size.

    Args:
        positions: (...) int64.
        size: D; an odd one has a sine more than cosines.

    Returns (..., D) float32.
    """
    pair = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32)
    angles = positions.unsqueeze(-1).float() * torch.exp(pair * (-log(10_000.0) / size))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :size]


def rotation_of(positions: Tensor, size: int) -> Rotation:
    """Cosines and sines for `rotated` (Su et al. 2021, arXiv:2104.09864).

    Args:
        positions: (T,) or (B, T) int64.
        size: E, even.
    """
    pair = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32)
    angles = positions.unsqueeze(-1).float() * torch.exp(pair * (-log(10_000.0) / size))
    angles = angles[:, None] if positions.ndim == 2 else angles[None, None]
    return angles.cos(), angles.sin()


def rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the pairs (e, e + E / 2) of queries or keys (B, H, T, E) by their positions."""
    cosines, sines = rotation
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1).to(x.dtype)


def alibi_slopes(heads: int) -> list[float]:
    """The slope of each head (Press et al. 2022, arXiv:2108.12409): a geometric sequence that begins at 2^(-8/H).

    Where H is no power of two, those of the next smaller one, then every other one of the next larger one.
    """
    power = 2 ** (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (n + 1) / power) for n in range(power)]
    return slopes + [2 ** (-4 * (2 * n + 1) / power) for n in range(heads - power)]


def alibi(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """(B or 1, H, Q, K): minus the distance of query and key times the slope of the head, to be added to the scores.

    Args:
        queries: Positions (Q,) or (B, Q).
        keys: Positions (K,) or (B, K).
        heads: H.
    """
    distances = (queries.unsqueeze(-1) - keys.unsqueeze(-2)).abs().float()
    distances = distances[:, None] if distances.ndim == 3 else distances[None, None]
    return distances * -torch.tensor(alibi_slopes(heads), device=distances.device)[:, None, None]


@dataclass(frozen=True)
class Relative:
    """What positions add to attention; nothing for kinds that are added to the tokens.

    kind       one of KINDS
    head_size  E
    heads      H
    """

    kind: str
    head_size: int
    heads: int

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind, and for rotary positions with heads of an odd size."""
        if self.kind not in KINDS:
            raise ValueError(f"unknown positions={self.kind!r}; available: {', '.join(KINDS)}")
        if self.kind == "rotary" and self.head_size % 2:
            raise ValueError(
                f"positions='rotary' requires heads of an even size, got token / heads = {self.head_size}. Set another "
                "model.heads, or model.positions=sinusoidal"
            )

    def rotation(self, positions: Tensor) -> Rotation | None:
        """The rotation of queries and keys at `positions` (T,) or (B, T), None for other kinds."""
        return rotation_of(positions, self.head_size) if self.kind == "rotary" else None

    def bias(self, queries: Tensor, keys: Tensor) -> Tensor | None:
        """What is added to the scores, None for other kinds; see `alibi`."""
        return alibi(queries, keys, self.heads) if self.kind == "alibi" else None


class Positions(nn.Module):
    """What positions add to tokens; nothing for kinds that work in attention.

    Args:
        kind: sinusoidal, learned, or another one of KINDS.
        token: D.
        length: Positions that learned ones exist for.
    """

    def __init__(self, kind: str, token: int, length: int) -> None:
        super().__init__()
        self.kind, self.token, self.length = kind, token, length
        if kind == "learned":
            self.embedding = nn.Embedding(length, token)

    def forward(self, positions: Tensor, end: int) -> Tensor | None:
        """(..., D) that is added to the tokens at `positions` (...), all below `end`; None where nothing is.

        Raises ValueError for positions that are not learned.
        """
        if self.kind == "sinusoidal":
            return sinusoids(positions, self.token)
        if self.kind != "learned":
            return None
        if end > self.length:
            raise ValueError(
                f"a sequence of {end} positions is longer than max_positions={self.length}, which is all that learned "
                f"positions exist for. Train with model.max_positions={end} or model.positions=sinusoidal, or cut the "
                "sequence"
            )
        found: Tensor = self.embedding(positions)
        return found
