"""Keys and rules of the entries of optim.groups. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.config.schema.fields import Field
from dlexp.config.schema.tree import shown
from dlexp.errors import Problem
from dlexp.text.nearest import nearest_name

_KEYS = {
    "match": Field("str", "pattern of parameter or module names"),
    "lr_factor": Field("float", "factor of the learning rate", above=0),
    "weight_decay": Field("float", "weight decay instead of optim.weight_decay", minimum=0),
}


def group_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of optim.groups; entries are numbered from 0."""
    for number, entry in enumerate(tree["optim"].get("groups") or ()):
        where = f"optim.groups.{number}"
        for key, value in entry.items():
            if key not in _KEYS:
                near = nearest_name(str(key), _KEYS)
                remedy = f"Did you mean {near}?" if near else ""
                yield Problem(
                    f"{where}.{key}",
                    shown(value),
                    f"unknown key of an entry; available: {', '.join(_KEYS)}",
                    remedy,
                    code="unknown-key",
                )
            elif refusal := _KEYS[key].refusal(value):
                yield Problem(f"{where}.{key}", shown(value), refusal, code=_KEYS[key].code_of(value))
        if not entry.get("match"):
            yield Problem(
                where,
                shown(entry),
                "requires match",
                "Add match: PATTERN, such as match: head",
                code="missing-value",
            )
        elif not {"lr_factor", "weight_decay"} & entry.keys():
            yield Problem(where, shown(entry), "has no effect", "Add lr_factor or weight_decay.", code="no-effect")
        if "weight_decay" in entry and "weight_decay" not in tree["optim"]:
            yield Problem(
                f"{where}.weight_decay",
                shown(entry["weight_decay"]),
                "not supported: this optimizer has no weight decay",
                code="not-supported",
            )
