"""Zero weights of a run: set at the updates of a schedule, and kept zero by all others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlexp.compression.magnitude import Sparsity, prunable_weights, zero_smallest
from dlexp.engine.state import TrainState


class ZeroWeights:
    """Sets weights to zero as a `Sparsity` says, and keeps them zero.

    A zero weight gets no gradient, and is zero again after the update, whatever the optimizer adds to it. What is kept
    between `before` and `after` is read from the weights, so that there is nothing to save.
    """

    def __init__(self, sparsity: Sparsity) -> None:
        self.sparsity = sparsity
        self._held: list[tuple[Tensor, Tensor]] = []

    def before(self, state: TrainState, updated: Sequence[nn.Module]) -> None:
        """Before an optimizer's step: set weights to zero if it is time, and the gradients of all zero weights."""
        weights = prunable_weights(updated)
        share = self.sparsity.at(state.step)
        with torch.no_grad():
            if self.sparsity.is_due(state.step) or self._lacks(weights, share, state.step):
                zero_smallest(weights, share, self.sparsity.scope)
                _zero_averages(state)
            self._held = [(weight, weight != 0) for weight in weights]
            for weight, mask in self._held:
                if weight.grad is not None:
                    weight.grad.mul_(mask)

    def after(self) -> None:
        """After an optimizer's step: set the same weights to zero again."""
        with torch.no_grad():
            for weight, mask in self._held:
                weight.mul_(mask)

    def _lacks(self, weights: Sequence[Tensor], share: float, step: int) -> bool:
        """Return whether the update that sets the last weights to zero was skipped."""
        if step <= self.sparsity.updates or step % 50:
            return False
        zeros = sum(int((weight == 0).sum()) for weight in weights)
        return zeros + len(weights) < share * sum(weight.numel() for weight in weights)


def _zero_averages(state: TrainState) -> None:
    """Set averages of zero weights to zero, which they would approach and never be."""
    averages = state.average.weights()
    if not averages:
        return
    own = state.networks.state_dict()
    pruned = {id(weight) for weight in prunable_weights(state.networks.values())}
    for name, weight in state.networks.named_parameters():
        if id(weight) in pruned and name in averages:
            averages[name].mul_(own[name] != 0)
