"""How far back in time the gradient of a loss reaches: the norm of d loss / d state, by distance.

Symbols: B sequences, T positions of the longest, H units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FADED = 0.01  # of the largest norm: what is below cannot be learned from in practice


def gradient_by_distance(
    loss: Tensor, states: Sequence[Tensor], lengths: Tensor, *, keeps_graph: bool = False
) -> Tensor:
    """The norm of the gradient at each distance from the end, a mean over the sequences that are as long.

    Args:
        loss: Shape (), computed of the states; a mean over the sequences.
        states: T states (B, H), each computed of the one before.
        lengths: (B,) int64, in [0, T]: positions behind them are padding.
        keeps_graph: Whether more gradients of the same loss will be computed.

    Returns:
        (T,) float64: at d, of the states d positions before the last own one, B times d loss / d state; NaN where no
        sequence is as long. 0 for states that the loss does not depend on.
    """
    found = torch.autograd.grad(loss, list(states), allow_unused=True, retain_graph=keeps_graph)
    own = lengths.cpu()
    none = torch.zeros(len(own), dtype=torch.float64)
    norms = torch.stack([none if one is None else one.double().norm(dim=1).cpu() for one in found])  # (T, B)
    norms = norms * len(own)
    result = torch.full((len(states),), float("nan"), dtype=torch.float64)
    for distance in range(len(states)):
        long = (own > distance).nonzero().flatten()
        if len(long):
            result[distance] = norms[own[long] - 1 - distance, long].mean()
    return result


def reach(norms: Tensor) -> int:
    """Positions, counted from the end, up to the last one whose norm is at least FADED of the largest (T,); 0 for none.

    NaN counts as faded, an infinite norm as the largest.
    """
    known = norms.nan_to_num(0.0, posinf=torch.finfo(torch.float64).max)
    largest = float(known.max()) if len(known) else 0.0
    if largest <= 0:
        return 0
    return int((known >= FADED * largest).nonzero().max()) + 1
