"""Statistics of weights, gradients and outputs of layers, in float64 and safe for one element and for NaN.

Symbols: N elements of a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SAMPLE = 20_000  # values of a layer that a histogram is made of


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
        kind: Name of its class, or of a function.
        values: Evenly spaced samples of its outputs, in parts.
    """

    kind: str
    count: int = 0
    not_finite: int = 0
    zeros: int = 0
    total: float = 0.0
    squares: float = 0.0
    values: list[NDArray[np.float64]] = field(default_factory=list)

    def as_dict(self) -> dict[str, float | int | str]:
        """Counts, mean and standard deviation, and the share of zeros."""
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
        }


class ActivationStatistics:
    """Statistics of the outputs of layers, fed call by call."""

    def __init__(self) -> None:
        self.layers: dict[str, LayerActivations] = {}

    def add(self, name: str, kind: str, output: Tensor, mask: Tensor | None = None) -> None:
        """Add the output of a call.

        Args:
            name: Of the layer.
            kind: Name of its class, or of a function.
            output: (B, ...).
            mask: (B, T), true where positions count; the others of outputs (B, T, ...) are left out.
        """
        if not output.is_floating_point() or not output.numel():
            return
        if mask is not None and output.dim() > 2 and output.shape[:2] == mask.shape:
            output = output[mask]
        layer = self.layers.setdefault(name, LayerActivations(kind))
        finite = output[torch.isfinite(output)].double()
        layer.count += output.numel()
        layer.not_finite += output.numel() - len(finite)
        layer.zeros += int((finite == 0).sum())
        layer.total += float(finite.sum())
        layer.squares += float(finite.square().sum())
        layer.values.append(sampled_values(output, _SAMPLE // 4))
