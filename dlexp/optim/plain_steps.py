"""An optimizer's step as plain operations on tensors, for a graph of the whole update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

# One kernel, lists of tensors, and Python numbers where tensors could be: what a graph is better off without.
_PLAIN = {"fused": False, "foreach": False, "capturable": True}


def single_optimizers(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizers that step and keep a state: the parts of a combined one, else the optimizer itself."""
    parts = getattr(optimizer, "parts", None)
    return [leaf for part in parts for leaf in single_optimizers(part)] if parts else [optimizer]


def state_tensors(optimizer: Optimizer) -> list[Tensor]:
    """Every tensor of the state, in an order that depends on the parameters alone."""
    return [
        value
        for part in single_optimizers(optimizer)
        for group in part.param_groups
        for parameter in group["params"]
        if (kept := part.state.get(parameter))
        for value in kept.values()
        if isinstance(value, Tensor)
    ]


def counters(optimizer: Optimizer) -> list[tuple[int, str]]:
    """(group, key) of the whole numbers in the groups that name a count of updates."""
    names = ("step", "k", "updates")
    return [
        (number, key)
        for number, group in enumerate(optimizer.param_groups)
        for key in names
        if type(group.get(key)) is int
    ]


@contextmanager
def plain_step(optimizer: Optimizer, rates: Sequence[Tensor], counts: Sequence[Tensor] = ()) -> Iterator[None]:
    """Within it `optimizer.step` is made of plain operations that read the rates, and the counts, from tensors.

    Args:
        optimizer: The optimizer.
        rates: Shape () each: the learning rate of every group.
        counts: Shape () each: the numbers of `counters`, () to leave them as they are.
    """
    groups = optimizer.param_groups
    numbers = counters(optimizer) if counts else []
    with unchanged_state(optimizer, groups_only=True):
        for group, rate in zip(groups, rates, strict=True):
            own: dict[str, Any] = {key: value for key, value in _PLAIN.items() if key in group}
            group.update(own, lr=rate)
        for (number, key), count in zip(numbers, counts, strict=True):
            groups[number][key] = count
        yield


@contextmanager
def unchanged_state(optimizer: Optimizer, *, groups_only: bool = False) -> Iterator[None]:
    """Afterwards groups and states have the entries that they had before; tensors in them are not restored.

    groups_only  leave the states as the body has made them
    """
    groups = optimizer.param_groups
    kept = [dict(group) for group in groups]
    lists = [(part, vars(part).pop("_kept")) for part in single_optimizers(optimizer) if "_kept" in vars(part)]
    states = [(part, {p: dict(entries) for p, entries in part.state.items()}) for part in single_optimizers(optimizer)]
    try:
        yield
    finally:
        for part, known in states if not groups_only else ():
            for parameter in [p for p in part.state if p not in known]:
                del part.state[parameter]
            for parameter, entries in known.items():
                part.state[parameter].clear()
                part.state[parameter].update(entries)
        for part in single_optimizers(optimizer):
            vars(part).pop("_kept", None)
        for group, before in zip(groups, kept, strict=True):
            group.clear()
            group.update(before)
        for part, value in lists:
            vars(part)["_kept"] = value
