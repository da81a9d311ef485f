"""Grad-CAM without hooks on gradients and without a layer being named (Selvaraju et al. 2017, arXiv:1610.02391).

Symbols: B samples, C channels, H and W of an image, K channels of a layer, h and w of its maps, N tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dlexp.explain.score import NotExplained, Score

_LEAST_SIDE = 4  # of the maps of a layer, where there is one that large: two by two tell little


@dataclass(frozen=True)
class Captured:
    """The output of one call of a layer.

    Attributes:
        place: Name of the layer, and which of its calls it was: a layer may be used twice.
        output: As the layer put it out; what follows works on a copy, so that a change in place does no harm.
        layout: channels_first (B, K, h, w), channels_last (B, h, w, K) or tokens (B, N, K).
        grid: (h, w).
    """

    place: tuple[str, int]
    output: Tensor
    layout: str
    grid: tuple[int, int]

    def maps(self, values: Tensor) -> Tensor:
        """(B, K, h, w) of values shaped like the output."""
        if self.layout == "channels_first":
            return values
        if self.layout == "tokens":  # a class token stands in front
            values = values[:, values.shape[1] - self.grid[0] * self.grid[1] :].unflatten(1, self.grid)
        return values.permute(0, 3, 1, 2)


def grad_cam(
    network: nn.Module, score: Score, images: Tensor, rows: Tensor, place: tuple[str, int] | None = None
) -> tuple[Tensor, tuple[str, int]]:
    """Where the last maps of a network speak for the score.

    Args:
        network: What `score` calls; any network that has layers with maps, or tokens of patches.
        score: What is explained.
        images: (B, C, H, W).
        rows: (B,) the number of each image.
        place: The layer and its call; None for the last one with maps of at least 4 x 4 on which the score depends.

    Returns:
        (B, C, H, W) >= 0, the same in each channel, whose sum over the channels is the enlarged map; and the place.

    Raises NotExplained for a network without such a layer.
    """
    leaf = images.detach().requires_grad_(True)
    with torch.enable_grad(), _capturing(network, (images.shape[2], images.shape[3])) as found:
        total = score(leaf, rows).sum()
    for layer in _preferred(found, place):
        found_slopes: Sequence[Tensor | None] = torch.autograd.grad(
            total, layer.output, retain_graph=True, allow_unused=True
        )
        slopes = found_slopes[0]
        if slopes is None:
            continue
        maps, weights = layer.maps(layer.output.detach()), layer.maps(slopes)
        if place is None and not bool(weights.count_nonzero()):
            continue  # the tokens of patches behind the last attention do not reach the class token
        cam = (weights.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu().float()
        large = interpolate(cam, size=images.shape[2:], mode="bilinear", align_corners=False)
        return (large / images.shape[1]).expand(-1, images.shape[1], -1, -1).to(images.dtype), layer.place
    rule = "Grad-CAM requires a layer with maps or tokens of patches, and this network has none"
    raise NotExplained(f"{rule}. Use --method integrated_gradients")


def _preferred(found: list[Captured], place: tuple[str, int] | None) -> list[Captured]:
    """The layers to try, the best first: the last of those with large maps, then of the others."""
    if place is not None:
        return [layer for layer in found if layer.place == place]
    last_first = [layer for layer in reversed(found) if min(layer.grid) > 1]
    return sorted(last_first, key=lambda layer: min(layer.grid) < _LEAST_SIDE)


@contextmanager
def _capturing(network: nn.Module, size: tuple[int, int]) -> Iterator[list[Captured]]:
    """The outputs of all layers with maps, in the order of their calls; the hooks are removed after the body."""
    found: list[Captured] = []
    calls: Counter[str] = Counter()
    handles = []

    def hook_of(name: str, is_linear: bool) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        def hook(module: nn.Module, args: Any, output: Any) -> Tensor | None:
            number = calls[name]
            calls[name] += 1
            if not isinstance(output, Tensor) or not output.requires_grad:
                return None
            form = _form(output, size, [layer.grid for layer in found])
            if form is None or (is_linear and form[0] == "tokens"):  # keys and values are no place for a map
                return None
            found.append(Captured((name, number), output, *form))
            return output.clone()

        return hook

    try:
        for name, module in network.named_modules():
            if module is not network:
                handles.append(module.register_forward_hook(hook_of(name, isinstance(module, nn.Linear))))
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _form(output: Tensor, size: tuple[int, int], grids: list[tuple[int, int]]) -> tuple[str, tuple[int, int]] | None:
    """(layout, grid) of an output, None where it has no maps."""
    shape = output.shape
    if output.dim() == 4:
        first, last = (shape[2], shape[3]), (shape[1], shape[2])
        if not _fits(first, size) and _fits(last, size):
            return "channels_last", last
        return "channels_first", first
    if output.dim() == 3:
        for grid in reversed(grids):
            if shape[1] - grid[0] * grid[1] in (0, 1) and grid[0] * grid[1] > 1:
                return "tokens", grid
    return None


def _fits(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether maps have about the form of the image and are no larger."""
    high, wide = grid
    return high <= size[0] and wide <= size[1] and abs(high / size[0] - wide / size[1]) < 0.5 * high / size[0] + 1e-9
