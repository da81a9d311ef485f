"""What the layers of a network are, from its first to its last, and which of its parameters are hidden matrices."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_TABLES = (nn.Embedding, nn.EmbeddingBag)


def layers_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each layer, in the order in which the network registers them; each parameter once.

    A layer is a module that is no container: a linear map, or a whole block of a residual network or a transformer. A
    normalisation goes with the layer before it, parameters of a container with the layer after them. A module that
    holds more than half of all numbers is the trunk and no layer: what it is made of counts.
    """
    found = _walk(network, sum(p.numel() for p in network.parameters()) / 2, first=True)
    layers: list[list[nn.Parameter]] = []
    seen: set[int] = set()
    for joins, parameters in found:
        new = [p for p in parameters if id(p) not in seen]
        seen |= {id(p) for p in new}
        if joins and layers:
            layers[-1] += new
        elif new:
            layers.append(new)
    return layers


def hidden_matrices(networks: list[nn.Module]) -> list[nn.Parameter]:
    """The weights of two dimensions that are neither a table of embeddings nor part of a network's last layer."""
    return [p for network in networks for p in _matrices(network)]


def _walk(module: nn.Module, half: float, first: bool = False) -> Iterator[tuple[bool, list[nn.Parameter]]]:
    """(whether it joins the layer before, parameters) of each layer of `module`."""
    everything = list(module.parameters())
    children = [child for child in module.children() if next(child.parameters(), None) is not None]
    is_trunk = bool(children) and sum(p.numel() for p in everything) > half
    if not (first or is_trunk or isinstance(module, _CONTAINERS)) or not children:
        yield isinstance(module, NORMS), everything
        return
    own = list(module.parameters(recurse=False))
    for child in children:
        for joins, parameters in _walk(child, half):
            yield joins and not own, own + parameters
            own = []


def _matrices(network: nn.Module) -> list[nn.Parameter]:
    found: list[list[nn.Parameter]] = []
    for module in network.modules():
        weights = [p for name, p in module.named_parameters(recurse=False) if p.ndim >= 2 and "weight" in name]
        if weights and not isinstance(module, (*_TABLES, *NORMS)):
            found.append(weights)
    return [p for weights in found[:-1] for p in weights if p.ndim == 2 and p.requires_grad]
