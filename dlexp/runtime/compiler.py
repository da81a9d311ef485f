"""torch's compiler, kept out of processes that compile nothing.

The first optimizer that is built imports it (`torch._dynamo`, and sympy with it) only to mark four methods as not to be
traced: a second of every start, and 100 MiB. No optimizer is traced here, whatever `trainer.compile` says.
"""

from __future__ import annotations

import sys

from torch.optim import Optimizer

_MARK = "__dynamo_disable"  # where torch keeps the marked method once it is made


def spare_compiler() -> None:
    """Have those methods of optimizers run as they are. Where torch is built otherwise, nothing changes."""
    if "torch._dynamo" in sys.modules:
        return
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        code = getattr(method, "__code__", None)
        if plain is not None and code is not None and code.co_qualname == "_disable_dynamo.<locals>.inner":
            vars(plain).setdefault(_MARK, plain)
