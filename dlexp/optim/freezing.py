"""Freezing of parameters and gradual unfreezing, for feature extraction and fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from dlexp.errors import ConfigError
from dlexp.networks.layers import NORMS, parameters_by_layer
from dlexp.networks.modes import set_mode
from dlexp.optim.parameter_groups import matches, named, not_matched


@dataclass(frozen=True)
class Freezing:
    """The frozen parameters, and when each is unfrozen; without arguments, none.

    Attributes:
        until: Name of each frozen parameter (NETWORK.NAME) -> the epoch, counted from 1, in which it is unfrozen, or
            None for never.
    """

    until: Mapping[str, int | None] = field(default_factory=dict)

    def apply(self, networks: nn.ModuleDict, epoch: int) -> None:
        """Set training mode, and disable gradients of the parameters that are frozen in `epoch`.

        A normalization layer with frozen parameters is in evaluation mode, so that its running statistics, and the
        outputs of the frozen layers, do not change. A layer without parameters follows those before it.

        Args:
            networks: The networks; modified.
            epoch: The epoch, counted from 1.
        """
        set_mode(networks, True)
        if not self.until:
            return
        for name, parameter in networks.named_parameters():
            if name in self.until:
                begins = self.until[name]
                parameter.requires_grad_(begins is not None and epoch >= begins)
        is_trainable = True
        for module in networks.modules():
            own = list(module.parameters(recurse=False))
            is_trainable = any(parameter.requires_grad for parameter in own) if own else is_trainable
            if isinstance(module, NORMS) and not is_trainable:
                module.eval()

    def fix(self, networks: nn.Module) -> None:
        """Disable gradients of the parameters that are never unfrozen, which keeps them out of optimizers."""
        for name, parameter in networks.named_parameters():
            if self.until.get(name, 0) is None:
                parameter.requires_grad_(False)


def freezing(
    networks: nn.ModuleDict,
    patterns: Sequence[str] = (),
    num_layers: int | None = None,
    begin: int | None = None,
    every: int = 0,
) -> Freezing:
    """Return the parameters that `patterns` and `num_layers` freeze.

    Args:
        networks: The networks by name.
        patterns: Names as in optim.groups (`conv1`, `layer1.*`), applied in order; a pattern with a leading ! unfreezes
            its matches: ["*", "!fc"] freezes everything but fc.
        num_layers: Number of first layers of each network; -N: all but the last N.
        begin: Epoch, counted from 1, in which frozen parameters are unfrozen, None for never.
        every: Epochs between the unfreezing of one layer and the next, from the last to the first; 0: all at once.

    Raises ConfigError for a pattern without a match, with the nearest names, and if everything is frozen.
    """
    chosen: dict[int, None] = {}  # in order
    names = named(dict(networks.items()))
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        found = [id(parameter) for name, parameter in names if matches(name, wanted)]
        if not found:
            raise not_matched("trainer.freeze", wanted, [name for name, _ in names])
        for key in found:
            if pattern.startswith("!"):
                chosen.pop(key, None)
            else:
                chosen[key] = None
    layers = {name: parameters_by_layer(network) for name, network in networks.items()}
    if num_layers is not None:
        _refuse_depth(num_layers, {name: len(found) for name, found in layers.items()})
        for found_layers in layers.values():
            chosen |= dict.fromkeys(id(parameter) for layer in found_layers[:num_layers] for parameter in layer)
    if begin is None and names and all(id(parameter) in chosen for _, parameter in names):
        raise ConfigError.one(
            "trainer.freeze",
            list(patterns),
            "must leave at least one trainable parameter",
            'Unfreeze a part: ["*", "!PART"]',
            code="invalid-value",
        )
    until: dict[int, int | None] = dict.fromkeys(chosen, begin)
    if begin is not None and every:
        for found_layers in layers.values():
            frozen = [layer for layer in reversed(found_layers) if any(id(parameter) in chosen for parameter in layer)]
            for number, layer in enumerate(frozen):
                until |= {id(p): begin + number * every for p in layer if id(p) in chosen}
    return Freezing({name: until[id(p)] for name, p in networks.named_parameters() if id(p) in until})


def _refuse_depth(num_layers: int, lengths: Mapping[str, int]) -> None:
    for name, length in lengths.items():
        frozen = num_layers if num_layers > 0 else length + num_layers
        if not 0 < frozen < length:
            rule = f"must freeze some of the {length} layers of network {name!r}, got {max(0, min(frozen, length))}"
            raise ConfigError.one(
                "trainer.freeze_layers", num_layers, rule, f"Use 1 to {length - 1}, or -1.", code="out-of-range"
            )
