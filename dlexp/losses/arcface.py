"""Classes as directions: an embedding is to point along its class's, by a margin.

Symbols: B batch, E numbers of an embedding, C classes, theta the angle between an embedding and a direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.upcast import upcast

__all__ = ["AngularMargin"]

_LEAST_SQUARE = 1e-12  # of a sine, so that its root has a slope


class AngularMargin(nn.Module):
    """Cross entropy of `scale` cos(theta), the own class's made harder: ArcFace and CosFace.

    Embeddings (B, E) of any length, class numbers (B,) -> shape (), the mean over the batch. With margin_on=angle the
    own class has cos(theta + margin) (Deng et al. 2019, arXiv:1801.07698), and cos(theta) - margin sin(margin) where
    theta + margin passes pi; with margin_on=cosine it has cos(theta) - margin (Wang et al. 2018, arXiv:1801.09414).

    The papers learn the direction of each class: directions=learned makes them weights of this loss, which train with
    the network. Fixed ones are as far from each other as C directions can be, a simplex, to which learned ones come
    (Papyan et al. 2020, arXiv:2008.08186); a simplex of C corners needs E >= C.

    class_counts    training samples of each class; their number is C
    embedding_size  E
    margin          > 0: of an angle in radians, below pi, or of a cosine
    scale           > 0: how sharp the softmax is; cosines alone lie in [-1, 1]
    directions      learned or fixed
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
        """Raises ValueError for other kinds, a margin of half a turn or more, and a simplex that E has no room for."""
        super().__init__()
        if margin_on not in ("angle", "cosine"):
            raise ValueError(f"margin_on={margin_on!r} is not one of angle, cosine")
        if margin_on == "angle" and margin >= pi:
            raise ValueError(f"margin={margin:g} of an angle must be below pi")
        self.margin, self.scale, self.margin_on = margin, scale, margin_on
        if directions == "learned":
            self.directions = nn.Parameter(torch.randn(len(class_counts), embedding_size))
        elif directions == "fixed":
            self.register_buffer("directions", _simplex(len(class_counts), embedding_size), persistent=False)
        else:
            raise ValueError(f"directions={directions!r} is not one of learned, fixed")

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss."""
        points = upcast(outputs)
        with torch.autocast(points.device.type, enabled=False):
            cosines = F.normalize(points, dim=1) @ F.normalize(self.directions.to(points.dtype), dim=1).T
        own = cosines.gather(1, targets[:, None])
        logits = cosines.scatter(1, targets[:, None], self._harder(own))
        return F.cross_entropy(self.scale * logits, targets)

    def _harder(self, own: Tensor) -> Tensor:
        """cos(theta) of the own class, (B, 1) -> less."""
        if self.margin_on == "cosine":
            return own - self.margin
        sine = (1 - own.square()).clamp_min(_LEAST_SQUARE).sqrt()
        turned = own * cos(self.margin) - sine * sin(self.margin)
        return torch.where(own > cos(pi - self.margin), turned, own - self.margin * sin(self.margin))


def _simplex(classes: int, size: int) -> Tensor:
    """(C, E) float64: directions of length 1 with the same, least cosine between any two of them."""
    if size < classes:
        rule = f"{classes} fixed directions need embeddings of {classes} numbers or more"
        raise ValueError(f"{rule}; set task.embedding_size={classes} or loss.directions=learned")
    corners = (torch.eye(classes, dtype=torch.float64) - 1 / classes) * sqrt(classes / max(classes - 1, 1))
    return F.pad(corners, (0, size - classes))
