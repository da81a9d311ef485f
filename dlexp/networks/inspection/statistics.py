"""Statistics of weights, gradients and outputs of layers, in float64 and safe for one element and for NaN.

Symbols: N elements of a tensor, U units of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_SAMPLE = 20_000  # values of a layer that a histogram is made of
_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LocalResponseNorm)
_WITH_ZERO = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardtanh, nn.Threshold)
# Module -> the outputs beyond which its derivative is below a tenth of the largest.
_SATURATION: Mapping[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: (0.025, 0.975),
    nn.Tanh: (-0.95, 0.95),
    nn.Hardtanh: (-1.0, 1.0),
    nn.Softsign: (-0.69, 0.69),
}


@dataclass(frozen=True)
class TensorStatistics:
    """Of one tensor; numbers are of its finite elements, 0 where it has none.

    Attributes:
        count: N.
        not_finite: Elements that are NaN or infinite.
        zeros: Share of zeros.
        std: Of the elements themselves, so that of one element is 0.
        largest: Largest absolute value.
    """

    count: int
    not_finite: int
    zeros: float
    mean: float
    std: float
    mean_absolute: float
    largest: float

    @classmethod
    def of(cls, tensor: Tensor) -> TensorStatistics:
        """The statistics of a tensor of any shape and real type."""
        flat = tensor.detach().flatten().double()
        finite = flat[torch.isfinite(flat)]
        if not len(finite):
            return cls(len(flat), len(flat), 0.0, 0.0, 0.0, 0.0, 0.0)
        std, mean = torch.std_mean(finite, correction=0)
        size = finite.abs()
        return cls(
            len(flat),
            len(flat) - len(finite),
            float((finite == 0).double().mean()),
            float(mean),
            float(std),
            float(size.mean()),
            float(size.max()),
        )


def sampled_values(tensor: Tensor, most: int = _SAMPLE) -> NDArray[np.float64]:
    """At most `most` finite elements, evenly spaced: (N,)."""
    flat = tensor.detach().flatten()
    step = -(-len(flat) // most) or 1
    values: NDArray[np.float64] = flat[::step].double().cpu().numpy()
    return values[np.isfinite(values)]


@dataclass
class LayerActivations:
    """What a layer put out over all batches.

    Attributes:
        kind: Name of its class.
        values: Evenly spaced samples of its outputs, in parts.
        dead: For units of rectifiers, which were 0 for every sample at every position: (U,), None for other layers.
        saturated: Outputs where the derivative is below a tenth of its largest, None for functions without such ones.
    """

    kind: str
    count: int = 0
    not_finite: int = 0
    zeros: int = 0
    total: float = 0.0
    squares: float = 0.0
    saturated: int | None = None
    dead: Tensor | None = None
    values: list[NDArray[np.float64]] = field(default_factory=list)

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Counts, mean and standard deviation, shares; None where a share has no meaning."""
        finite = self.count - self.not_finite
        mean = self.total / finite if finite else 0.0
        spread = max(0.0, self.squares / finite - mean**2) if finite else 0.0
        return {
            "kind": self.kind,
            "values": self.count,
            "not_finite": self.not_finite,
            "mean": mean,
            "std": spread**0.5,
            "zeros": self.zeros / finite if finite else 0.0,
            "saturated": None if self.saturated is None else self.saturated / max(1, self.count),
            "units": None if self.dead is None else len(self.dead),
            "dead_units": None if self.dead is None else int(self.dead.sum()),
        }


class ActivationStatistics:
    """Statistics of the outputs of layers, fed call by call.

    A unit is dead if it is 0 for every sample, not if many of its values are 0: half of all values of a healthy
    rectifier are.
    """

    def __init__(self) -> None:
        self.layers: dict[str, LayerActivations] = {}
        self._channels_first = True

    def add(self, name: str, module: nn.Module, output: Tensor, mask: Tensor | None = None) -> None:
        """Add the output of a call.

        Args:
            name: Of the layer.
            module: The layer.
            output: (B, ...).
            mask: (B, T), true where positions count; the others of outputs (B, T, ...) are left out.
        """
        if isinstance(module, _CHANNELS_FIRST):
            self._channels_first = True
        elif isinstance(module, nn.Linear | nn.LayerNorm | nn.RNNBase | nn.MultiheadAttention | nn.Embedding):
            self._channels_first = False
        if not output.is_floating_point() or not output.numel():
            return
        if mask is not None and output.dim() > 2 and output.shape[:2] == mask.shape:
            output = output[mask]
        layer = self.layers.setdefault(name, LayerActivations(type(module).__name__))
        finite = output[torch.isfinite(output)].double()
        layer.count += output.numel()
        layer.not_finite += output.numel() - len(finite)
        layer.zeros += int((finite == 0).sum())
        layer.total += float(finite.sum())
        layer.squares += float(finite.square().sum())
        layer.values.append(sampled_values(output, _SAMPLE // 4))
        for kind, (low, high) in _SATURATION.items():
            if isinstance(module, kind):
                layer.saturated = (layer.saturated or 0) + int(((finite <= low) | (finite >= high)).sum())
        if isinstance(module, _WITH_ZERO) and output.dim() > 1:
            silent = (self._by_unit(output) == 0).all(dim=1)
            layer.dead = silent if layer.dead is None else layer.dead & silent

    def _by_unit(self, output: Tensor) -> Tensor:
        """(U, everything else): channels of maps, features of rows and of positions."""
        unit = 1 if output.dim() > 2 and self._channels_first else output.dim() - 1
        return output.movedim(unit, 0).flatten(1)
