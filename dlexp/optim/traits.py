"""Properties of an optimizer that the engine must respect."""

from __future__ import annotations

from dataclasses import dataclass

from torch.optim import Optimizer


@dataclass(frozen=True)
class OptimizerTraits:
    """What an optimizer needs besides `step()`; a class declares them as its attribute `traits`.

    Attributes:
        needs_closure: `step` takes a function that computes loss and gradient again.
        has_line_search: It compares losses and gradients with each other, so nothing else may change them.
        keeps_average: `eval()` puts an average of the weights into the networks, and `train()` the trained ones back.
    """

    needs_closure: bool = False
    has_line_search: bool = False
    keeps_average: bool = False


_PLAIN, _AVERAGING = OptimizerTraits(), OptimizerTraits(keeps_average=True)


def traits_of(optimizer: Optimizer) -> OptimizerTraits:
    """The declared traits; those of a library's optimizer, which declares none, follow from its methods."""
    declared = getattr(optimizer, "traits", None)
    if isinstance(declared, OptimizerTraits):
        return declared
    return _AVERAGING if callable(getattr(optimizer, "eval", None)) else _PLAIN
