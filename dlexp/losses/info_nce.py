"""The loss of pairs that belong together, each against the other pairs of its batch.

Symbols: B pairs of a batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.losses.upcast import upcast


def symmetric_info_nce(similarities: Tensor, same: Tensor) -> Tensor:
    """InfoNCE in both directions (van den Oord et al. 2018; Radford et al. 2021, arXiv:2103.00020), in nats.

    A pair is right against all pairs of the batch but those that share its text or its image: these are right too, so
    that they are no negatives of each other. Each of them has its own term, so that all of them are drawn together.

    Args:
        similarities: (B, B), of each image (row) to each text (column), divided by the temperature.
        same: (B, B) bool, symmetric: whether two pairs share a text or an image; True on the diagonal.

    Returns:
        Shape (), the mean over the pairs and both directions; 0 where no pair has a negative, and log B where all
        similarities are equal and no pair shares anything.
    """
    own = torch.eye(len(same), dtype=torch.bool, device=same.device)
    scores = upcast(similarities).masked_fill(same & ~own, float("-inf"))
    truth = torch.arange(len(same), device=same.device)
    return (F.cross_entropy(scores, truth) + F.cross_entropy(scores.mT, truth)) / 2
