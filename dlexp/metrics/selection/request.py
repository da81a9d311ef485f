"""A metric that a run names, as plain values. Imports neither torch nor NumPy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class MetricRequest:
    """A metric of `metrics=[...]`.

    Attributes:
        name: Its name in the log, such as `recall[yes]`, without the split.
        base: Name of the built-in metric; "" for a function of the user.
        output: The class or target that it is of, "" for all of them.
        target: Dotted path of the user's function or class; "" for a built-in metric.
        direction: max or min; "" for a user's function without `mode`.
        arguments: Its parameters as plain values.
        where: The configuration key that names it.
    """

    name: str
    base: str = ""
    output: str = ""
    target: str = ""
    direction: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    where: str = "metrics"


def user_targets(items: Any) -> Iterator[tuple[str, str]]:
    """Yield (name, dotted path) of every function of the user among the items of `metrics`, complete or as typed."""
    for item in items if isinstance(items, list | tuple) else (items,):
        name, values = item, None
        if isinstance(item, Mapping) and len(item) == 1:
            (name, values), *_ = item.items()
        written = values.get("_target_") if isinstance(values, Mapping) else None
        target = written or (name if isinstance(name, str) and DOTTED.fullmatch(name) else None)
        if isinstance(target, str):
            yield str(name), target
