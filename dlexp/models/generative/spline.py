"""Monotone rational-quadratic splines: an invertible map of each number, with an exact inverse and derivative.

Source: C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, "Neural spline flows", NeurIPS 2019, section 3.1; J. A.
Gregory and R. Delbourgo, "Piecewise rational quadratic interpolation to monotonic data", 1982.

Symbols: K bins of a spline.
"""

from __future__ import annotations

from math import exp, log

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE = 5.0  # outside of [-EDGE, EDGE] the map is the identity
_LEAST = 1e-3  # width, height and slope of a bin
_UNIT = log(exp(1 - _LEAST) - 1)  # softplus of it, and the least slope, are 1


def spline(x: Tensor, raw: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Map each number by its own spline; where `raw` is 0 it is the identity.

    Args:
        x: (...) numbers.
        raw: (..., 3 K - 1) unbounded: K widths, K heights and K - 1 inner slopes of the bins.
        inverse: Whether to lead back.

    Returns:
        The numbers (...), and the logarithm of the derivative (...).
    """
    bins = (raw.shape[-1] + 1) // 3
    widths, heights, slopes = raw.split([bins, bins, bins - 1], dim=-1)
    lefts, widths = _bins(widths)
    bottoms, heights = _bins(heights)
    slopes = F.pad(_LEAST + F.softplus(slopes + _UNIT), (1, 1), value=1.0)
    inner = x.clamp(-EDGE, EDGE)
    edges = bottoms if inverse else lefts
    # As torch.searchsorted(edges, inner, right=True) - 1, of which ONNX has no equal.
    number = ((edges <= inner[..., None]).sum(-1, keepdim=True) - 1).clamp(0, bins - 1)
    left, width, bottom, height, first, last = (
        values.gather(-1, number)[..., 0]
        for values in (lefts, widths, bottoms, heights, slopes[..., :-1], slopes[..., 1:])
    )
    steep = height / width
    bend = first + last - 2 * steep
    if inverse:
        rise = inner - bottom
        a = rise * bend + height * (steep - first)
        b = height * first - rise * bend
        c = -steep * rise
        share = (2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())).clamp(0, 1)
        found = left + share * width
    else:
        share = ((inner - left) / width).clamp(0, 1)
        found = bottom + height * (steep * share.square() + first * share * (1 - share)) / _below(steep, bend, share)
    derivative = steep.square() * (
        last * share.square() + 2 * steep * share * (1 - share) + first * (1 - share).square()
    )
    log_slope = derivative.log() - 2 * _below(steep, bend, share).log()
    is_inside = (x > -EDGE) & (x < EDGE)
    return torch.where(is_inside, found, x), torch.where(is_inside, -log_slope if inverse else log_slope, 0.0)


def _below(steep: Tensor, bend: Tensor, share: Tensor) -> Tensor:
    return steep + bend * share * (1 - share)


def _bins(raw: Tensor) -> tuple[Tensor, Tensor]:
    """(..., K) unbounded -> left edges and sizes of K bins (..., K) that fill [-EDGE, EDGE]."""
    shares = _LEAST + (1 - _LEAST * raw.shape[-1]) * raw.softmax(-1)
    sizes = 2 * EDGE * shares
    return F.pad(sizes.cumsum(-1)[..., :-1], (1, 0)) - EDGE, sizes
