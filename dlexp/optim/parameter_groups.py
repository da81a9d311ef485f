"""Which parameters are decayed, and which learn faster or slower than others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from dlexp.errors import ConfigError
from dlexp.networks.layers import NORMS, layers_of


@dataclass(frozen=True)
class Share:
    """What a parameter gets: a multiple of the learning rate, and a weight decay of its own or None for the usual."""

    lr_factor: float = 1.0
    weight_decay: float | None = None


def weights_of(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The trainable parameters that are neither biases nor part of a normalisation layer."""
    spared = {id(parameter) for network in networks for parameter in _norms_and_biases(network)}
    return [p for network in networks for p in network.parameters() if p.requires_grad and id(p) not in spared]


def shares(
    networks: Mapping[str, nn.Module], layer_decay: float | None, entries: Sequence[Mapping[str, Any]]
) -> dict[int, Share]:
    """id of each parameter of `networks` -> what it gets.

    layer_decay  the last layer of each network learns at the full rate, each layer before it at this share of the next
    entries      {match: PATTERN, lr_factor: FACTOR, weight_decay: DECAY}, the last two as wanted. A pattern is that of
                 a shell (* and ?) for the name of a parameter or of a module that it is in: `head` and `head.*` are the
                 whole head. Factors multiply that of `layer_decay`; a later entry replaces what an earlier one says.
    Raises ConfigError, with the nearest names, for a pattern that matches nothing.
    """
    found: dict[int, Share] = {}
    for network in networks.values():
        layers = layers_of(network)
        for depth, layer in enumerate(reversed(layers)):
            found |= {id(p): Share(1.0 if layer_decay is None else layer_decay**depth) for p in layer}
    all_named = named(networks)
    depths = {key: share.lr_factor for key, share in found.items()}
    for entry in entries:
        matched = [p for name, p in all_named if matches(name, entry["match"])]
        if not matched:
            raise no_match("optim.groups", entry["match"], [name for name, _ in all_named])
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
    """Parameter groups for an optimizer: weights as configured, norms and biases without decay unless asked.

    given  what `shares` found; None for the same for all
    lr     the learning rate that their factors multiply
    Groups at the full rate come first, so that the rate of the first is the one that was configured.
    Raises ValueError when nothing is trainable.
    """
    everything = [p for network in networks for p in network.parameters() if p.requires_grad]
    if not everything:
        raise ValueError("the model has no trainable parameter")
    decayed = {id(p) for p in (everything if decay_norms_and_biases else weights_of(networks))}
    found: dict[tuple[bool, bool, Share], list[nn.Parameter]] = {}
    for p in everything:
        share, spared = (given or {}).get(id(p), Share()), id(p) not in decayed
        share = replace(share, weight_decay=0.0) if spared else share
        found.setdefault((share.lr_factor != 1.0, spared, share), []).append(p)
    # Sorting is stable, and looks at the first two alone: within them groups stand as the network names them.
    return [_group(share, found[key], lr) for key in sorted(found, key=lambda key: key[:2]) for share in [key[2]]]


def _group(share: Share, parameters: list[nn.Parameter], lr: float | None) -> dict[str, Any]:
    group: dict[str, Any] = {"params": parameters}
    if share.lr_factor != 1.0:
        if lr is None:
            rule = "multiply optim.lr, and this optimizer has none"
            raise ConfigError.one("optim.groups, optim.layer_decay", "", rule, "leave them out", code="not-supported")
        group["lr"] = lr * share.lr_factor
    if share.weight_decay is not None:
        group["weight_decay"] = share.weight_decay
    return group


def named(networks: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    """(name, parameter); of several networks the name begins with the network's."""
    prefixes = dict.fromkeys(networks, "") if len(networks) == 1 else {name: f"{name}." for name in networks}
    return [
        (prefixes[key] + name, parameter)
        for key, network in networks.items()
        for name, parameter in network.named_parameters()
    ]


def matches(name: str, pattern: str) -> bool:
    """Whether a shell's pattern is that of a parameter's name, or of a module that it is in."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def no_match(key: str, pattern: str, names: list[str]) -> ConfigError:
    """The error of a pattern under `key` that matches none of `names`; it tells the nearest."""
    parts = [".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)]
    candidates = list(dict.fromkeys(parts))
    near = get_close_matches(pattern.strip("*."), candidates, n=3, cutoff=0.4)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(candidates[:12])}"
    return ConfigError.one(key, pattern, "matches no parameter of this model", remedy, code="not-found")


def _norms_and_biases(network: nn.Module) -> Iterable[nn.Parameter]:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, NORMS) or "bias" in name:
                yield parameter
