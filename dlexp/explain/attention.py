"""Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928): how much of each token may reach the output.

Symbols: B samples, N tokens, T positions, H and W of an image.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dlexp.explain.score import NotExplained

_NONE = "this network has no attention from its inputs to itself. Use --method occlusion"


def attention_rollout(maps: Mapping[str, Tensor], has_class_token: bool) -> Tensor:
    """(B, N) >= 0, of sum 1: the attention of the output to each input token, over all layers.

    Args:
        maps: Weights (B, heads, N, N) of the layers in order, whose rows sum to 1; or weights (B, heads, 1, N) of a
            pooling at the end.
        has_class_token: Whether the output is read from the first token; else it is the mean over the tokens.

    The mean over the heads is taken, and half of what a layer puts out is its input, which goes around the attention.
    Raises NotExplained without such maps.
    """
    rolled: Tensor | None = None
    for weights in maps.values():
        mean = weights.float().mean(1)
        if mean.shape[1] == 1 != mean.shape[2]:
            return mean[:, 0] if rolled is None else (mean @ rolled)[:, 0]
        if mean.shape[1] != mean.shape[2]:
            raise NotExplained(_NONE)
        step = 0.5 * mean + 0.5 * torch.eye(mean.shape[1], device=mean.device)
        step = step / step.sum(2, keepdim=True)
        rolled = step if rolled is None else step @ rolled
    if rolled is None:
        raise NotExplained(_NONE)
    return rolled[:, 0] if has_class_token else rolled.mean(1)


def rollout_of_patches(rolled: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(B, N) of patches, row after row, maybe behind a class token -> (B, C, H, W), the same in each channel.

    Raises NotExplained where the patches do not make an image of `shape` (C, H, W).
    """
    channels, height, width = shape
    for skipped in (0, 1):
        count = rolled.shape[1] - skipped
        rows = round((count * height / width) ** 0.5)
        if rows and count % rows == 0 and rows * width == height * (count // rows):
            grid = rolled[:, skipped:].unflatten(1, (rows, count // rows))[:, None]
            large = interpolate(grid, size=(height, width), mode="nearest")
            return (large / channels).expand(-1, channels, -1, -1)
    raise NotExplained("the tokens of this network are no patches of the image. Use --method occlusion")
