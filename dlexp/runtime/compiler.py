"""torch's compiler, kept out of processes that compile nothing.

The first optimizer that is built imports it (`torch._dynamo`, and sympy with it) only to mark four methods as not to be
traced, and most optimizers import it at their first step, to break a graph that nobody records: a second of every
start, and 100 MiB. No optimizer is traced here, whatever `trainer.compile` says.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

_MARK = "__dynamo_disable"  # where torch keeps the marked method once it is made
_BREAKS = "_use_grad_for_differentiable.<locals>._use_grad"


def spare_compiler() -> None:
    """Have those methods, and the steps of torch's optimizers, run as they are.

    Where torch is built otherwise, nothing changes.
    """
    if "torch._dynamo" in sys.modules:
        return
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and _name(method) == "_disable_dynamo.<locals>.inner":
            vars(plain).setdefault(_MARK, plain)
    for kind in vars(torch.optim).values():
        if isinstance(kind, type) and issubclass(kind, Optimizer) and _name(vars(kind).get("step")) == _BREAKS:
            kind.step = without_graph_breaks(kind.step)  # type: ignore[method-assign]


def without_graph_breaks(step: Callable[..., Any]) -> Callable[..., Any]:
    """The `step` of an optimizer of torch less its wrappers, with gradients recorded where it asks for them."""
    plain = inspect.unwrap(step)

    @functools.wraps(plain)
    def unbroken(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return plain(self, *args, **kwargs)

    return unbroken


def _name(function: object) -> str:
    """Where a function is defined, "" for what is no function."""
    return str(getattr(getattr(function, "__code__", None), "co_qualname", ""))
