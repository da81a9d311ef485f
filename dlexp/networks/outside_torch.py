"""Networks whose layers another library than torch computes: what torch sees of them is inputs and outputs."""

from __future__ import annotations

from torch import nn


def computes_in_numpy(network: nn.Module) -> bool:
    """Return whether a layer of `network` is computed in NumPy; its class has a true attribute `computes_in_numpy`."""
    return any(getattr(module, "computes_in_numpy", False) for module in network.modules())
