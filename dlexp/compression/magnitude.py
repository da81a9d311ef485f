"""Single weights set to zero by their magnitude (Han et al. 2015, arXiv:1506.02626), and what keeps them zero.

The zeros of a layer are their own record: a weight that is zero before an update is zero after it. So nothing beside
the weights is stored, and a run that is resumed continues with the same zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.Bilinear, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
_MOST_TIMES = 100  # that weights are set to zero, while a sparsity grows


def prunable_weights(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The trained weight matrices and kernels of dense, convolutional, recurrent and attention layers, each once."""
    found: dict[int, nn.Parameter] = {}
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, _LAYERS):
                own = layer.named_parameters(recurse=False)
                weights = [p for name, p in own if p.ndim >= 2 and "bias" not in name and p.requires_grad]
                found |= {id(p): p for p in weights}
    return list(found.values())


def zero_smallest(weights: Sequence[Tensor], share: float, scope: str) -> None:
    """Set a share of the weights to zero, in place: those of the smallest magnitude; of equal ones the first.

    Args:
        weights: Of any shapes.
        share: In [0, 1); the number of zeros is rounded.
        scope: layer: the share of each tensor; global: of all of them together.
    """
    with torch.no_grad():
        if scope == "layer":
            for weight in weights:
                weight.mul_(_kept(weight.abs().flatten(), share).view_as(weight))
            return
        magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
        masks = _kept(magnitudes, share).split([weight.numel() for weight in weights])
        for weight, mask in zip(weights, masks, strict=True):
            weight.mul_(mask.view_as(weight))


def sparsity_of(weights: Iterable[Tensor]) -> float:
    """The share of zeros, in [0, 1]; 0 for no weights."""
    zeros = total = 0
    for weight in weights:
        zeros += int((weight == 0).sum())
        total += weight.numel()
    return zeros / max(1, total)


@dataclass(frozen=True)
class Sparsity:
    """The sparsity of a run at each update.

    From zero to `final` over the first updates, fast at first: final * (1 - (1 - t/T)^3) (Zhu & Gupta 2017,
    arXiv:1710.01878).

    Attributes:
        final: Share of zeros in the end, in (0, 1).
        scope: layer or global, as of `zero_smallest`.
        updates: T, the updates before the last that sets weights to zero; 0: the first one does.
    """

    final: float
    scope: str = "layer"
    updates: int = 0

    def is_due(self, step: int) -> bool:
        """Return whether update `step`, counted from 0, sets weights to zero."""
        every = max(1, self.updates // _MOST_TIMES)
        return step <= self.updates and (step % every == 0 or step == self.updates)

    def at(self, step: int) -> float:
        """The share of zeros from update `step` on."""
        left = 1 - min(1.0, step / self.updates) if self.updates else 0.0
        return self.final * (1 - left**3)


def _kept(magnitudes: Tensor, share: float) -> Tensor:
    """1 where a magnitude is not among the smallest, 0 where it is."""
    count = round(share * magnitudes.numel())
    mask = torch.ones_like(magnitudes)
    mask[magnitudes.sort(stable=True).indices[:count]] = 0
    return mask
