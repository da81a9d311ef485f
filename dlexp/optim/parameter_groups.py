"""Parameter groups: weight decay, learning-rate factors and layer-wise decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from dlexp.errors import ConfigError
from dlexp.networks.layers import NORMS, parameters_by_layer


@dataclass(frozen=True)
class Share:
    """Learning-rate factor of a parameter, and its weight decay, None for that of the optimizer."""

    lr_factor: float = 1.0
    weight_decay: float | None = None


def weights_of(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the trainable parameters that are neither biases nor single numbers nor part of a normalization layer."""
    excluded = {id(parameter) for network in networks for parameter in _norms_and_biases(network)}
    return [p for network in networks for p in network.parameters() if p.requires_grad and id(p) not in excluded]


def parameter_shares(
    networks: Mapping[str, nn.Module], layer_decay: float | None, entries: Sequence[Mapping[str, Any]]
) -> dict[int, Share]:
    """Return id of each parameter of `networks` -> its share.

    Args:
        networks: The networks by name.
        layer_decay: Learning rate of each layer as a factor of that of the next layer; the last has the full rate.
        entries: {match: PATTERN, lr_factor: FACTOR, weight_decay: DECAY}, with at least one of the last two. A
            pattern is that of a shell (* and ?) for the name of a parameter or of a module that contains it: `head` and
            `head.*` match the whole head. Factors multiply those of `layer_decay`; later entries override earlier ones.

    Raises ConfigError for a pattern without a match, with the nearest names.
    """
    found: dict[int, Share] = {}
    for network in networks.values():
        layers = parameters_by_layer(network)
        for depth, layer in enumerate(reversed(layers)):
            found |= {id(p): Share(1.0 if layer_decay is None else layer_decay**depth) for p in layer}
    all_named = named(networks)
    depths = {key: share.lr_factor for key, share in found.items()}
    for entry in entries:
        matched = [p for name, p in all_named if matches(name, entry["match"])]
        if not matched:
            raise not_matched("optim.groups", entry["match"], [name for name, _ in all_named])
        for key in map(id, matched):
            if entry.get("lr_factor") is not None:
                found[key] = replace(found[key], lr_factor=depths[key] * entry["lr_factor"])
            if entry.get("weight_decay") is not None:
                found[key] = replace(found[key], weight_decay=entry["weight_decay"])
    return found


def parameter_groups(
    networks: list[nn.Module],
    decay_norms_and_biases: bool,
    given: Mapping[int, Share] | None = None,
    lr: float | None = None,
) -> list[dict[str, Any]]:
    """Return the parameter groups for an optimizer.

    Groups with the full rate come first, so that the rate of the first group is the configured one.

    Args:
        networks: The networks.
        decay_norms_and_biases: Whether normalization layers and biases have weight decay.
        given: The result of `shares`, None for equal shares.
        lr: The learning rate, which is multiplied by the factors.

    Raises ValueError if there is no trainable parameter.
    """
    everything = [p for network in networks for p in network.parameters() if p.requires_grad]
    if not everything:
        raise ValueError("the model has no trainable parameter")
    decayed = {id(p) for p in (everything if decay_norms_and_biases else weights_of(networks))}
    found: dict[tuple[bool, bool, Share], list[nn.Parameter]] = {}
    for p in everything:
        share, is_excluded = (given or {}).get(id(p), Share()), id(p) not in decayed
        share = replace(share, weight_decay=0.0) if is_excluded else share
        found.setdefault((share.lr_factor != 1.0, is_excluded, share), []).append(p)
    # Sorting by the first two is stable: other than that, groups are in the order of the network.
    return [_group(share, found[key], lr) for key in sorted(found, key=lambda key: key[:2]) for share in [key[2]]]


def _group(share: Share, parameters: list[nn.Parameter], lr: float | None) -> dict[str, Any]:
    group: dict[str, Any] = {"params": parameters}
    if share.lr_factor != 1.0:
        if lr is None:
            rule = "not supported: this optimizer has no learning rate"
            raise ConfigError.one("optim.groups, optim.layer_decay", "", rule, "Remove them.", code="not-supported")
        group["lr"] = lr * share.lr_factor
    if share.weight_decay is not None:
        group["weight_decay"] = share.weight_decay
    return group


def named(networks: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    """Return (name, parameter); with several networks, names begin with that of the network."""
    prefixes = dict.fromkeys(networks, "") if len(networks) == 1 else {name: f"{name}." for name in networks}
    return [
        (prefixes[key] + name, parameter)
        for key, network in networks.items()
        for name, parameter in network.named_parameters()
    ]


def matches(name: str, pattern: str) -> bool:
    """Return whether a shell pattern matches the name of a parameter or of a module that contains it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def not_matched(key: str, pattern: str, names: list[str]) -> ConfigError:
    """Return the error of a pattern that matches no parameter, with the nearest names.

    Args:
        key: Key of the pattern.
        pattern: The pattern.
        names: Names of all parameters.
    """
    parts = [".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)]
    candidates = list(dict.fromkeys(parts))
    near = get_close_matches(pattern.strip("*."), candidates, n=3, cutoff=0.4)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Available: {', '.join(candidates[:12])}."
    return ConfigError.one(key, pattern, "matches no parameter of the model", remedy, code="not-found")


def _norms_and_biases(network: nn.Module) -> Iterable[nn.Parameter]:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, NORMS) or "bias" in name or not parameter.ndim:
                yield parameter
