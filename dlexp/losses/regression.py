"""Regression losses.

Symbols: B batch, O targets, Q quantiles, e the error (output minus target).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.output_decoding import LogRate, Quantiles
from dlexp.losses.upcast import upcast

__all__ = ["MAE", "MSE", "Huber", "MSEPlusMAE", "Poisson", "Quantile", "SmoothL1"]


class MSE(nn.Module):
    """Mean squared error: (B, O), (B, O) -> shape ()."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and outputs."""
        return F.mse_loss(_alike(outputs, targets), targets)


class MAE(nn.Module):
    """Mean absolute error: (B, O), (B, O) -> shape ()."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and outputs."""
        return F.l1_loss(_alike(outputs, targets), targets)


class SmoothL1(nn.Module):
    """Smooth L1 loss: e^2 / (2 beta) below `beta`, |e| - beta / 2 above: (B, O), (B, O) -> shape () (Girshick 2015).

    It equals the Huber loss with delta = beta, divided by beta.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and outputs."""
        return F.smooth_l1_loss(_alike(outputs, targets), targets, beta=self.beta)


class Huber(nn.Module):
    """Huber loss: e^2 / 2 below `delta`, delta (|e| - delta / 2) above: (B, O), (B, O) -> shape () (Huber 1964)."""

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and outputs."""
        return F.huber_loss(_alike(outputs, targets), targets, delta=self.delta)


class MSEPlusMAE(nn.Module):
    """Squared plus absolute error, e^2 + mae_weight |e|: (B, O), (B, O) -> shape ().

    The second term has a gradient also for small errors.
    """

    def __init__(self, mae_weight: float = 0.1) -> None:
        super().__init__()
        self.mae_weight = mae_weight

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and outputs."""
        outputs = _alike(outputs, targets)
        return F.mse_loss(outputs, targets) + self.mae_weight * F.l1_loss(outputs, targets)


class Quantile(nn.Module):
    """Pinball loss, max(q (y - o), (q - 1) (y - o)): outputs (B, Q * O), targets (B, O) -> shape () (Koenker 1978).

    The network has Q outputs for each target, in blocks of O; `decoder` converts them to the units of the target.

    Args:
        quantiles: Increasing numbers in (0, 1); the one nearest to 0.5 is the prediction.

    Raises ValueError unless quantiles are increasing and not empty.
    """

    def __init__(self, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> None:
        super().__init__()
        if not quantiles or list(quantiles) != sorted(set(quantiles)):
            raise ValueError(f"quantiles={list(quantiles)} must be one or more increasing numbers")
        self.decoder = Quantiles(quantiles)
        self.register_buffer("quantiles", torch.tensor(list(quantiles)), persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples, quantiles and targets."""
        wide = upcast(outputs)
        share = self.get_buffer("quantiles").to(wide.dtype)[:, None]
        expected = (len(targets), len(share) * targets.shape[1])
        if tuple(wide.shape) != expected:
            raise ValueError(
                f"outputs must have shape {expected} (batch, quantiles x targets), got {tuple(wide.shape)}"
            )
        short = targets[:, None, :] - wide.reshape(len(targets), len(share), -1)
        return torch.maximum(share * short, (share - 1) * short).mean()


class Poisson(nn.Module):
    """Poisson loss of counts, the deviance up to a constant, exp(o) - y o: (B, O), (B, O) -> shape ().

    Targets are in units of their mean, outputs are logarithms of the rate in the same unit (see LogRate), so that an
    untrained network predicts the mean. The minimum does not depend on the unit.

    Args:
        target_min: Smallest training value of each target, (O,).

    Raises ValueError for negative targets.
    """

    def __init__(self, target_min: Sequence[float] = ()) -> None:
        super().__init__()
        if any(value < 0 for value in target_min):
            raise ValueError(f"targets must be counts >= 0, got {min(target_min):g}")
        self.decoder = LogRate()

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and outputs."""
        return F.poisson_nll_loss(_alike(outputs, targets), targets, log_input=True)


def _alike(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the upcast outputs. Raises ValueError for different shapes: (B,) and (B, 1) would broadcast to (B, B)."""
    if outputs.shape != targets.shape:
        shapes = f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"outputs and targets must have the same shape, got {shapes}")
    return upcast(outputs)
