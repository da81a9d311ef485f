"""Vision transformer: an image as a sequence of patches (Dosovitskiy et al. 2021, arXiv:2010.11929).

Symbols: B samples, C channels, H and W height and width in pixels, P side of a patch, N patches, D size of a token, O
outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

import torch
from torch import Tensor, nn

from dlexp.models.layers import image_shape
from dlexp.models.transformer.initialization import initialize_as_vit
from dlexp.models.transformer.layers import Sizes
from dlexp.models.transformer.positions import Positions
from dlexp.models.transformer.stacks import Stack

__all__ = ["vit"]
_MOST_PATCHES = 64  # of the patch that is chosen for an image


class Vit(nn.Module):
    """Patches, a class token in front of them, encoder layers and a linear layer.

    Args:
        shape: (C, H, W) of an image.
        patch: P, which divides H and W.
        positions: What positions add to the tokens.
        stack: The layers.
        num_outputs: O.
        pooling: token (the output of the class token), or mean or max of the patches.
        dropout: Probability in [0, 1) that a component of a token is zeroed in training.

    Raises ValueError for an unknown pooling.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch: int,
        positions: Positions,
        stack: Stack,
        num_outputs: int,
        pooling: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if pooling not in ("token", "mean", "max"):
            raise ValueError(f"unknown pooling={pooling!r} of a vision transformer; available: token, mean, max")
        self.shape, self.patch, self.pooling = shape, patch, pooling
        token = positions.token
        self.patches = nn.Conv2d(shape[0], token, patch, stride=patch)
        self.first = nn.Parameter(torch.empty(token)) if pooling == "token" else None
        self.positions, self.stack = positions, stack
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(token, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O). Raises ValueError for images of another size."""
        states: Tensor = self._states(x, None)
        found: Tensor = self.head(self._pooled(states))
        return found

    def attention_maps(self, x: Tensor) -> Mapping[str, Tensor]:
        """Weights (B, heads, N, N) by the names encoder.0, ...; with a class token of N + 1 positions, it first."""
        weights: list[Tensor] = []
        self._states(x, weights)
        return {f"encoder.{number}": found for number, found in enumerate(weights)}

    def _states(self, x: Tensor, weights: list[Tensor] | None) -> Tensor:
        if x.shape[1:] != self.shape:
            raise ValueError(f"this vit reads images of shape {self.shape}, got {tuple(x.shape[1:])}. Resize them")
        tokens = self.patches(x).flatten(2).transpose(1, 2)  # (B, N, D), row after row of the image
        if self.first is not None:
            tokens = torch.cat([self.first.to(tokens.dtype).expand(tokens.shape[0], 1, -1), tokens], 1)
        at = torch.arange(tokens.shape[1], device=x.device)
        added = self.positions(at, tokens.shape[1])
        tokens = tokens if added is None else tokens + added.to(tokens.dtype)
        tokens = self.dropout(tokens)
        found: Tensor = self.stack(tokens, self.stack.both_ways(tokens, None), weights)
        return found

    def _pooled(self, states: Tensor) -> Tensor:
        if self.pooling == "token":
            return states[:, 0]
        return states.mean(1) if self.pooling == "mean" else states.amax(1)


def vit(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    patch: int | None = None,
    token: int = 64,
    blocks: int = 4,
    heads: int = 4,
    ffn_factor: float = 4.0,
    ffn: str = "gelu",
    norm: str = "layer",
    norm_place: str = "before",
    positions: str = "learned",
    pooling: str = "token",
    dropout: float = 0.1,
    attention_dropout: float = 0.0,
) -> Vit:
    """Vision transformer: (B, C, H, W) -> (B, O).

    Args:
        input_shape: (C, H, W).
        num_outputs: O.
        patch: P, which divides H and W; None for the smallest of two pixels or more with at most 64 patches.
        token: D, a multiple of heads.
        blocks: Number of layers.
        heads: Attention heads.
        ffn_factor: Units of a feed-forward layer over D.
        ffn: relu, gelu, gelu_tanh, silu, swiglu, geglu or reglu.
        norm: layer or rms.
        norm_place: before a sublayer, or after its sum with the residual.
        positions: Of the patches, row after row: sinusoidal, learned, rotary, alibi or none.
        pooling: token, mean or max.
        dropout: Probability in [0, 1) that a component of a token, of what a layer adds or of a hidden unit is zeroed.
        attention_dropout: Probability in [0, 1) that an attention weight is zeroed.

    Raises ValueError for samples that are no images, a patch that does not divide them, unknown names and sizes that do
    not divide.
    """
    shape = image_shape("vit", input_shape)
    side = patch_of(shape, patch)
    # 1e-6 as in the published programs.
    sizes = Sizes(token, heads, None, ffn_factor, ffn, norm, norm_place, dropout, attention_dropout, eps=1e-6)
    count = (shape[1] // side) * (shape[2] // side) + (pooling == "token")
    place = Positions(positions, token, count)
    network = Vit(shape, side, place, Stack(sizes, blocks, positions), num_outputs, pooling, dropout)
    initialize_as_vit(network)
    if network.first is not None:
        nn.init.trunc_normal_(network.first, 0.0, 0.02, -0.04, 0.04)
    return network


def patch_of(shape: tuple[int, int, int], patch: int | None) -> int:
    """The side of the patches of images (C, H, W). Raises ValueError for a given one that does not divide them."""
    _, height, width = shape
    common = gcd(height, width)
    fitting = [n for n in range(1, common + 1) if common % n == 0]
    if patch is None:
        large = [n for n in fitting if n > 1 and (height // n) * (width // n) <= _MOST_PATCHES]
        return large[0] if large else common
    if height % patch or width % patch:
        near = min(fitting, key=lambda n: abs(n - patch))
        raise ValueError(
            f"patch={patch} must divide images of {height}x{width} pixels. Patches that fit: "
            f"{', '.join(map(str, fitting))}; set model.patch={near}, or resize the images to "
            f"{-(-height // patch) * patch}x{-(-width // patch) * patch}"
        )
    return patch
