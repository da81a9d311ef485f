"""Averages of the weights over training: judged and kept in place of the weights that are trained.

An average begins with the run, or with the epoch that it is told to; it changes nothing of what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Ema", "Swa", "WeightAverage", "running_norms"]


class WeightAverage:
    """The null object of all averages: what is trained is what is judged."""

    def after_update(self) -> None:
        """An update was made."""

    def after_epoch(self, epoch: int) -> None:
        """The updates of an epoch, counted from 1, are made; saying so twice changes nothing."""

    def needs_statistics(self) -> bool:
        """Whether the average is there and the running statistics that belong to it are not."""
        return False

    def keep_statistics(self) -> None:
        """The networks now hold the average, and running statistics that belong to it."""

    def weights(self) -> dict[str, Tensor]:
        """Name in the networks' state -> the tensor that is judged in its place; {} for none."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """How far it is, as plain values; the tensors are those of `weights`."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Continue from `state`; `weights` has at least the tensors that were averaged then."""


class Ema(WeightAverage):
    """Exponential moving average of weights and running statistics (Polyak & Juditsky 1992).

    mean <- d * mean + (1 - d) * weight after each update that was made, where d = min(decay, (1 + t) / (10 + t)) after
    t earlier ones. So a short run is not judged by the weights that it began with. Running means and variances lag like
    the weights that they belong to; every other buffer is taken as it is.

    decay  in [0, 1)
    """

    def __init__(self, networks: nn.Module, decay: float) -> None:
        self._decay, self._updates = decay, 0
        self._live = _parameters(networks) | _statistics(networks)
        self._mean = _copies(self._live)
        self._lists = (list(self._mean.values()), list(self._live.values()))

    def after_update(self) -> None:
        """Move the mean towards the weights."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        with torch.no_grad():
            torch._foreach_lerp_(*self._lists, 1 - decay)
        self._updates += 1

    def weights(self) -> dict[str, Tensor]:
        """The mean of each parameter and running statistic."""
        return self._mean

    def state_dict(self) -> dict[str, Any]:
        """The number of updates."""
        return {"updates": self._updates}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Continue; from a run that had no average, begin one with the weights of now."""
        self._updates = state.get("updates", 0)
        source = weights if "updates" in state else self._live
        with torch.no_grad():
            torch._foreach_copy_(self._lists[0], [source[name].to(mean.device) for name, mean in self._mean.items()])


class Swa(WeightAverage):
    """Stochastic weight averaging: the plain mean of the weights at the ends of some epochs (Izmailov et al. 2018).

    Running statistics are not averaged: those of the mean are measured anew by a pass over the training data, which is
    the engine's to make.

    first_epoch  the first epoch, counted from 1, whose weights are taken in
    """

    def __init__(self, networks: nn.Module, first_epoch: int) -> None:
        self._first, self._last, self._count = first_epoch, 0, 0
        self._live, self._measured = _parameters(networks), _statistics(networks)
        self._mean: dict[str, Tensor] = {}
        self._statistics: dict[str, Tensor] = {}

    def after_epoch(self, epoch: int) -> None:
        """Take in the weights of this epoch, once."""
        if epoch < self._first or epoch <= self._last:
            return
        self._last, self._count, self._statistics = epoch, self._count + 1, {}
        self._mean = self._mean or _copies(self._live)
        with torch.no_grad():
            torch._foreach_lerp_(list(self._mean.values()), list(self._live.values()), 1 / self._count)

    def needs_statistics(self) -> bool:
        """After each epoch that was taken in, for networks that have running statistics."""
        return bool(self._mean and self._measured and not self._statistics)

    def keep_statistics(self) -> None:
        """Keep what was measured."""
        self._statistics = _copies(self._measured)

    def weights(self) -> dict[str, Tensor]:
        """The mean of each parameter, and its running statistics once they are measured."""
        return self._mean | self._statistics

    def state_dict(self) -> dict[str, Any]:
        """The epochs taken in, and the last of them."""
        return {"count": self._count, "last": self._last, "measured": bool(self._statistics)}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Continue; a run that had no average has taken in no epoch yet."""
        self._count, self._last = state.get("count", 0), state.get("last", 0)
        self._mean = _taken(weights, self._live) if self._count else {}
        self._statistics = _taken(weights, self._measured) if state.get("measured") else {}


def running_norms(networks: nn.Module) -> list[nn.Module]:
    """The normalisation layers that keep a running mean and variance."""
    return [
        module
        for module in networks.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None
    ]


def _parameters(networks: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in networks.named_parameters()}


def _statistics(networks: nn.Module) -> dict[str, Tensor]:
    """The running means and variances by name; whole numbers, such as the count of batches, are left out."""
    own = {id(buffer) for module in running_norms(networks) for buffer in module.buffers(recurse=False)}
    return {
        name: buffer for name, buffer in networks.named_buffers() if id(buffer) in own and buffer.is_floating_point()
    }


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _taken(weights: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weights[name].detach().to(tensor.device, copy=True) for name, tensor in like.items()}
