"""Avoid importing torch's compiler in processes that compile nothing.

The first optimizer that is built imports `torch._dynamo` and sympy only to exclude four methods from tracing, and most
optimizers import it in their first step to break a graph. This costs a second of every start and 100 MiB. dlexp never
traces optimizers, regardless of `trainer.compile`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

_MARK = "__dynamo_disable"  # attribute in which torch caches the excluded method
_BREAKS = "_use_grad_for_differentiable.<locals>._use_grad"


def spare_compiler() -> None:
    """Run those methods, and the steps of torch's optimizers, without their wrappers.

    Does nothing if this version of torch is implemented differently.
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
    """The `step` of a torch optimizer without its wrappers, with gradients enabled if it is differentiable."""
    plain = inspect.unwrap(step)

    @functools.wraps(plain)
    def unbroken(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return plain(self, *args, **kwargs)

    return unbroken


def _name(function: object) -> str:
    """The qualified name of a function, "" for other objects."""
    return str(getattr(getattr(function, "__code__", None), "co_qualname", ""))
