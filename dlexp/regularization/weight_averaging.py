"""Averages of the weights over training, which are evaluated and saved instead of the trained weights.

An average begins with the run or with a given epoch, and does not change training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Ema", "NoAverage", "Swa", "WeightAverage", "running_norms"]


class WeightAverage(ABC):
    """An average of the weights over training."""

    @abstractmethod
    def after_update(self) -> None:
        """Call after each update."""

    @abstractmethod
    def after_epoch(self, epoch: int) -> None:
        """Call after the updates of an epoch, counted from 1; a second call changes nothing."""

    @abstractmethod
    def needs_statistics(self) -> bool:
        """Whether the average exists and the running statistics that belong to it do not."""

    @abstractmethod
    def keep_statistics(self) -> None:
        """Call when the networks hold the average, and running statistics that belong to it."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Name in the networks' state -> the tensor that is evaluated in its place; {} for none."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The position, as plain values; the tensors are those of `weights`."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Continue from `state`; `weights` has at least the tensors that were averaged then."""


class NoAverage(WeightAverage):
    """The null object: the trained weights are evaluated."""

    def after_update(self) -> None:
        """Do nothing."""

    def after_epoch(self, epoch: int) -> None:
        """Do nothing."""

    def needs_statistics(self) -> bool:
        """Never."""
        return False

    def keep_statistics(self) -> None:
        """Do nothing."""

    def weights(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """No value."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Do nothing."""


class Ema(WeightAverage):
    """Exponential moving average of weights and running statistics (Polyak & Juditsky 1992).

    mean <- d * mean + (1 - d) * weight after each update, where d = min(decay, (1 + t) / (10 + t)) after t updates, so
    that initial weights do not dominate in short runs. Running means and variances are averaged as well; other buffers
    are those of the networks.

    Args:
        networks: The networks.
        decay: Decay per update, in [0, 1).
    """

    def __init__(self, networks: nn.Module, decay: float) -> None:
        self._decay, self._updates = decay, 0
        self._live = _parameters(networks) | _statistics(networks)
        self._mean = _copies(self._live)
        self._lists = (list(self._mean.values()), list(self._live.values()))

    def after_update(self) -> None:
        """Update the mean."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        with torch.no_grad():
            torch._foreach_lerp_(*self._lists, 1 - decay)
        self._updates += 1

    def after_epoch(self, epoch: int) -> None:
        """Do nothing: an epoch is no more than its updates."""

    def needs_statistics(self) -> bool:
        """Never: running statistics are averaged like weights."""
        return False

    def keep_statistics(self) -> None:
        """Do nothing."""

    def weights(self) -> dict[str, Tensor]:
        """Return the mean of each parameter and running statistic."""
        return self._mean

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates."""
        return {"updates": self._updates}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Restore `state`; without one, begin an average with the current weights."""
        self._updates = state.get("updates", 0)
        source = weights if "updates" in state else self._live
        with torch.no_grad():
            torch._foreach_copy_(self._lists[0], [source[name].to(mean.device) for name, mean in self._mean.items()])


class Swa(WeightAverage):
    """Stochastic weight averaging: the plain mean of the weights at the ends of some epochs (Izmailov et al. 2018).

    Running statistics are not averaged: the engine measures those of the mean in a pass over the training data.

    Args:
        networks: The networks.
        first_epoch: First epoch, counted from 1, whose weights are included.
    """

    def __init__(self, networks: nn.Module, first_epoch: int) -> None:
        self._first, self._last, self._count = first_epoch, 0, 0
        self._live, self._measured = _parameters(networks), _statistics(networks)
        self._mean: dict[str, Tensor] = {}
        self._statistics: dict[str, Tensor] = {}

    def after_update(self) -> None:
        """Do nothing: the ends of epochs are averaged."""

    def after_epoch(self, epoch: int) -> None:
        """Include the weights of this epoch, once."""
        if epoch < self._first or epoch <= self._last:
            return
        self._last, self._count, self._statistics = epoch, self._count + 1, {}
        self._mean = self._mean or _copies(self._live)
        with torch.no_grad():
            torch._foreach_lerp_(list(self._mean.values()), list(self._live.values()), 1 / self._count)

    def needs_statistics(self) -> bool:
        """Return True after each included epoch, for networks with running statistics."""
        return bool(self._mean and self._measured and not self._statistics)

    def keep_statistics(self) -> None:
        """Store the measured running statistics."""
        self._statistics = _copies(self._measured)

    def weights(self) -> dict[str, Tensor]:
        """Return the mean of each parameter, and the running statistics if they are measured."""
        return self._mean | self._statistics

    def state_dict(self) -> dict[str, Any]:
        """Return the number of included epochs and the last of them."""
        return {"count": self._count, "last": self._last, "measured": bool(self._statistics)}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Restore `state`; without one, no epoch is included yet."""
        self._count, self._last = state.get("count", 0), state.get("last", 0)
        self._mean = _taken(weights, self._live) if self._count else {}
        self._statistics = _taken(weights, self._measured) if state.get("measured") else {}


def running_norms(networks: nn.Module) -> list[nn.Module]:
    """Return the normalization layers with running mean and variance."""
    return [
        module
        for module in networks.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None
    ]


def _parameters(networks: nn.Module) -> dict[str, Tensor]:
    """Return the parameters themselves, whose memory may be replaced in the course of a run."""
    return dict(networks.named_parameters())


def _statistics(networks: nn.Module) -> dict[str, Tensor]:
    """Return running means and variances by name, without integers such as the number of batches."""
    own = {id(buffer) for module in running_norms(networks) for buffer in module.buffers(recurse=False)}
    return {
        name: buffer for name, buffer in networks.named_buffers() if id(buffer) in own and buffer.is_floating_point()
    }


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _taken(weights: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weights[name].detach().to(tensor.device, copy=True) for name, tensor in like.items()}
