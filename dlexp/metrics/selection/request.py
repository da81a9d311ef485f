"""A metric that a run names, as plain values. Imports neither torch nor NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
