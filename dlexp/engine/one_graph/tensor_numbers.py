"""Learning rates and counts as tensors of shape (), where eager code has Python numbers.

A Python number is a constant of a graph: each new learning rate would be another one. torch's operations take tensors
for most numbers; those that do not are written in terms of those that do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_NAMES = ("alpha", "value")
_POWERS = ("pow", "__pow__", "__rpow__")


class TensorNumbers(TorchFunctionMode):
    """Within it, `alpha`, `value` and the weight of `lerp` may be tensors of shape (), and powers are float64.

    A count is float32 in the state of torch's optimizers: 1 - 0.999^t of it would be wrong in the fifth digit.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, or what equals it."""
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in _POWERS and any(_is_number(value) for value in args):
            return func(*[value.double() if _is_number(value) else value for value in args], **kwargs)
        if name in ("lerp", "lerp_") and _is_number(weight := args[2] if len(args) > 2 else kwargs.get("weight")):
            return func(args[0], args[1], weight.to(args[0].dtype))
        given = next((key for key in _NAMES if isinstance(kwargs.get(key), Tensor)), None)
        if given is not None and name in _WRITTEN_OUT:
            return _WRITTEN_OUT[name](*args, kwargs[given])
        return func(*args, **kwargs)


def _is_number(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point()


_WRITTEN_OUT: dict[str, Callable[..., Any]] = {
    "add": lambda x, y, factor: x + y * factor,
    "add_": lambda x, y, factor: x.add_(y * factor),
    "sub": lambda x, y, factor: x - y * factor,
    "sub_": lambda x, y, factor: x.sub_(y * factor),
    "addcmul": lambda x, a, b, factor: x + a * b * factor,
    "addcmul_": lambda x, a, b, factor: x.add_(a * b * factor),
    "addcdiv": lambda x, a, b, factor: x + a / b * factor,
    "addcdiv_": lambda x, a, b, factor: x.add_(a / b * factor),
    "_foreach_add_": lambda xs, ys, factor: torch._foreach_add_(xs, [y * factor for y in ys]),
}
