"""Distances of images by the features of a network: content, style by Gram matrices, and total variation.

Sources: L. A. Gatys, A. S. Ecker and M. Bethge, "Image style transfer using convolutional neural networks", CVPR 2016;
J. Johnson, A. Alahi and L. Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016,
arXiv:1603.08155.

A distance here is relative to what it is measured from: 0 for the same, 1 for features that are all zero. Published
ones have units that depend on the network and on the layer, so that their weights fit one network alone.

Symbols: B batch, C channels, H and W height and width of feature maps or images, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["PerceptualLoss", "content_distance", "gram_matrix", "style_distance", "total_variation"]

_SMALLEST = 1e-12  # of what a distance is divided by: features that are all zero have none


def gram_matrix(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, C): the mean over the places of the products of two channels.

    A mean, and not a sum, so that pictures of different sizes can have the same style.
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def content_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """(B,) the squared distance of features (B, C, H, W) relative to the wanted ones, a mean over L layers."""
    return torch.stack([_relative(one, other) for one, other in zip(found, wanted, strict=True)]).mean(0)


def style_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """(B,) the squared distance of the Gram matrices of features from the wanted ones (B or 1, C, C), relative to them.

    Args:
        found: (B, C, H, W) of each of L layers, over which the distance is a mean.
        wanted: Gram matrices of the same layers.
    """
    return torch.stack([_relative(gram_matrix(one), gram) for one, gram in zip(found, wanted, strict=True)]).mean(0)


def total_variation(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B,): the mean absolute difference of neighbors, down plus across; 0 for a plain color."""
    count = images[0].numel()
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().flatten(1).sum(1)
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().flatten(1).sum(1)
    return (down + across) / count


class PerceptualLoss(nn.Module):
    """How far images are apart in the features of a network; the network itself is not trained.

    Args:
        features: Images (B, C, H, W) in [0, 1] and names of L layers -> features (B, C', H', W') of each.
        layers: The names.
    """

    def __init__(self, features: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        self.features, self.layers = features, tuple(layers)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Images and targets (B, C, H, W) in [0, 1] -> (B,). The gradient is for the images alone."""
        with torch.no_grad():
            wanted = self.features(targets, self.layers)
        return content_distance(self.features(images, self.layers), wanted)


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    """(B,) |found - wanted|^2 / |wanted|^2, in float32."""
    apart = (found.float() - wanted.float()).square().flatten(1).sum(1)
    return apart / wanted.float().square().flatten(1).sum(1).clamp(min=_SMALLEST)
