"""Angular margin losses of embeddings: ArcFace and CosFace.

Symbols: B batch, E embedding size, C classes, theta the angle between an embedding and the direction of a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.upcast import upcast

__all__ = ["AngularMargin"]

_LEAST_SQUARE = 1e-12  # lower bound of a squared sine, for a finite gradient of the root


class AngularMargin(nn.Module):
    """Cross entropy of logits `scale` cos(theta), with a margin on the true class: ArcFace and CosFace.

    Embeddings (B, E) of any length, class numbers (B,) -> shape (), the mean over the batch. With margin_on=angle, the
    true class has cos(theta + margin) (Deng et al. 2019, arXiv:1801.07698), or cos(theta) - margin sin(margin) if
    theta + margin exceeds pi; with margin_on=cosine, cos(theta) - margin (Wang et al. 2018, arXiv:1801.09414).

    With directions=learned, as in the papers, the directions of the classes are parameters of the loss. Fixed
    directions form a simplex, with the largest distances between C directions, to which learned ones converge (Papyan
    et al. 2020, arXiv:2008.08186). A simplex of C corners requires E >= C.

    Args:
        class_counts: Training samples of each class, (C,).
        embedding_size: E.
        margin: > 0; of an angle in radians, below pi, or of a cosine.
        scale: > 0; factor of the cosines, which are in [-1, 1].
        margin_on: angle or cosine.
        directions: learned or fixed.

    Raises ValueError for unknown names, an angle of pi or more, and a simplex with E < C.
    """

    directions: Tensor

    def __init__(
        self,
        class_counts: Sequence[int],
        embedding_size: int,
        margin: float = 0.5,
        scale: float = 16.0,
        margin_on: str = "angle",
        directions: str = "learned",
    ) -> None:
        super().__init__()
        if margin_on not in ("angle", "cosine"):
            raise ValueError(f"unknown margin_on={margin_on!r}; available: angle, cosine")
        if margin_on == "angle" and margin >= pi:
            raise ValueError(f"margin={margin:g} must be below pi with margin_on=angle")
        self.margin, self.scale, self.margin_on = margin, scale, margin_on
        if directions == "learned":
            self.directions = nn.Parameter(torch.randn(len(class_counts), embedding_size))
        elif directions == "fixed":
            self.register_buffer("directions", _simplex(len(class_counts), embedding_size), persistent=False)
        else:
            raise ValueError(f"unknown directions={directions!r}; available: learned, fixed")

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape ()."""
        points = upcast(outputs)
        with torch.autocast(points.device.type, enabled=False):
            cosines = F.normalize(points, dim=1) @ F.normalize(self.directions.to(points.dtype), dim=1).T
        own = cosines.gather(1, targets[:, None])
        logits = cosines.scatter(1, targets[:, None], self._harder(own))
        return F.cross_entropy(self.scale * logits, targets)

    def _harder(self, own: Tensor) -> Tensor:
        """Return cos(theta) of the true class, (B, 1), with the margin."""
        if self.margin_on == "cosine":
            return own - self.margin
        sine = (1 - own.square()).clamp_min(_LEAST_SQUARE).sqrt()
        turned = own * cos(self.margin) - sine * sin(self.margin)
        return torch.where(own > cos(pi - self.margin), turned, own - self.margin * sin(self.margin))


def _simplex(classes: int, size: int) -> Tensor:
    """Return (C, E) float64: unit vectors with the same, smallest possible cosine between any two of them."""
    if size < classes:
        rule = f"loss.directions=fixed requires task.embedding_size of at least {classes}, got {size}"
        raise ValueError(f"{rule}. Set task.embedding_size={classes} or loss.directions=learned")
    corners = (torch.eye(classes, dtype=torch.float64) - 1 / classes) * sqrt(classes / max(classes - 1, 1))
    return F.pad(corners, (0, size - classes))
