"""Words that may bring dead units back: of networks of dlexp, and of one's own that have a key for it."""

from __future__ import annotations

from collections.abc import Iterator

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.rules.network.counterfactuals import Option, other_values, slower

_RECTIFIERS = ("relu", "relu6")
_STEEP = "leaky_relu_0.1"  # a slope that brings a unit back within a trial
_OTHERS = ("leaky_relu", "gelu", "elu", "silu", "tanh")  # names that networks of one's own may have for activations
_ENOUGH = 2  # of them that a network knows


def revivals(case: Case, *, died: bool) -> list[Option]:
    """What may keep units alive: a lower rate for units that died, another activation, and other weights at the start.

    Args:
        case: Of a network with dead units.
        died: Whether they were alive before training.
    """
    found = slower(case) if died else []
    for key, content in case.facts.settings.items():
        section, _, name = key.rpartition(".")
        if section != "model":
            continue
        if name == "ffn":
            found += other_values(case, key, ("gelu",))
        elif str(content).lower() in _RECTIFIERS:
            found += _activations(case, key)
        elif name == "activation":
            found += other_values(case, key, (_STEEP,))
        elif not died and "bias" in name and (case.facts.number(key) or 0.0) < 0:
            found.append(Option((f"{key}=0",)))
    return [*found, *(other_values(case, "model.init", ("auto",)) if not died else ())]


def _activations(case: Case, key: str) -> Iterator[Option]:
    """The steep leaky rectifier, or other names where a network does not know that one."""
    known = 0
    for value in (_STEEP, *_OTHERS):
        word = f"{key}={value}"
        if case.twin(word).problem:
            continue
        yield Option((word,))
        known += 1
        if value == _STEEP or known == _ENOUGH:
            return
