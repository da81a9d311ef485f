"""Which weights do not learn, and from which epoch on they do: feature extraction, fine-tuning, gradual unfreezing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from dlexp.errors import ConfigError
from dlexp.networks.layers import NORMS, layers_of
from dlexp.optim.parameter_groups import matches, named, no_match


@dataclass(frozen=True)
class Freezing:
    """What is frozen; the null object freezes nothing.

    until  name of each frozen parameter (NETWORK.NAME) -> the epoch, counted from 1, in which it begins to learn, or
           None for never
    """

    until: Mapping[str, int | None] = field(default_factory=dict)

    def apply(self, networks: nn.ModuleDict, epoch: int) -> None:
        """Training mode, but for what is frozen in `epoch`: it gets no gradient.

        A normalisation whose parameters are all frozen is in evaluation mode: its running statistics would move on, and
        with them what the frozen layers put out. One that has no parameters goes with the parameters before it.
        """
        networks.train()
        if not self.until:
            return
        for name, parameter in networks.named_parameters():
            if name in self.until:
                begins = self.until[name]
                parameter.requires_grad_(begins is not None and epoch >= begins)
        learns = True
        for module in networks.modules():
            own = list(module.parameters(recurse=False))
            learns = any(parameter.requires_grad for parameter in own) if own else learns
            if isinstance(module, NORMS) and not learns:
                module.eval()

    def fix(self, networks: nn.Module) -> None:
        """What never learns takes no gradient from now on, and so gets no place in an optimizer."""
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
    """What `patterns` and `num_layers` freeze.

    patterns    names as in optim.groups (`conv1`, `layer1.*`), taken in turn; one that begins with ! frees what it
                matches: ["*", "!fc"] is everything but fc
    num_layers  so many first layers of each network; -N stands for all but the last N
    begin       the epoch, counted from 1, in which what is frozen begins to learn, None for never
    every       epochs from there until one more layer begins, the last first; 0 for all at once
    Raises ConfigError, with the nearest names, for a pattern that matches nothing, and when nothing at all learns.
    """
    chosen: dict[int, None] = {}  # in order
    names = named(dict(networks.items()))
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        found = [id(parameter) for name, parameter in names if matches(name, wanted)]
        if not found:
            raise no_match("trainer.freeze", wanted, [name for name, _ in names])
        for key in found:
            if pattern.startswith("!"):
                chosen.pop(key, None)
            else:
                chosen[key] = None
    layers = {name: layers_of(network) for name, network in networks.items()}
    if num_layers is not None:
        _refuse_depth(num_layers, {name: len(found) for name, found in layers.items()})
        for found_layers in layers.values():
            chosen |= dict.fromkeys(id(parameter) for layer in found_layers[:num_layers] for parameter in layer)
    if begin is None and names and all(id(parameter) in chosen for _, parameter in names):
        raise ConfigError.one(
            "trainer.freeze",
            list(patterns),
            "leaves nothing to learn",
            'free a part: ["*", "!PART"]',
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
            rule = f"would freeze {max(0, min(frozen, length))} of the {length} layers of network {name!r}"
            raise ConfigError.one(
                "trainer.freeze_layers", num_layers, rule, f"take 1 to {length - 1}, or -1", code="out-of-range"
            )
