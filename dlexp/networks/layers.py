"""The layers of a network from first to last, and its hidden matrices."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_TABLES = (nn.Embedding, nn.EmbeddingBag)


def parameters_by_layer(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters of each layer, in the order of registration; each parameter once.

    A layer is a module that is not a container: a linear map, or a block of a residual network or a transformer.
    Normalization layers belong to the layer before them, parameters of a container to the layer after them. A module
    with more than half of all parameters is the trunk, which is divided into its children.
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
    """Return the two-dimensional weights except embeddings and those of the last layer of a network."""
    return [p for network in networks for p in _matrices(network)]


def _walk(module: nn.Module, half: float, first: bool = False) -> Iterator[tuple[bool, list[nn.Parameter]]]:
    """Yield (whether it belongs to the layer before, parameters) of each layer of `module`."""
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
