"""Initialization of weights, by name or according to the activation.

Symbols: fan_in inputs of a unit, fan_out units with the same input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod, sqrt
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import init

Model = TypeVar("Model", bound=nn.Module)

INITS = (
    "auto", "default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "lecun_normal",
    "orthogonal", "trunc_normal", "normal",
)  # fmt: skip
_SATURATING = ("sigmoid", "tanh", "step", "softmax", "log_softmax", "identity")
_SLOPES = {"leaky_relu": 0.01, "leaky_relu_0.1": 0.1, "leaky_relu_0.2": 0.2, "prelu": 0.25}


def resolve_scheme(name: str, activation: str = "relu", norm: str = "none") -> tuple[str, str]:
    """Return (scheme, reason) of `init=name`.

    auto is the default of torch if a normalization follows every layer, which cancels any scale; otherwise LeCun for
    SELU (Klambauer et al. 2017), Xavier for saturating activations (Glorot & Bengio 2010), and Kaiming for the others
    (He et al. 2015).

    Args:
        name: One of INITS.
        activation: Name of the activation.
        norm: Name of the normalization.

    Raises ValueError for an unknown name.
    """
    if name not in INITS:
        raise ValueError(f"unknown init={name!r}; available: {', '.join(INITS)}")
    if name != "auto":
        return name, "as configured"
    if norm != "none":
        return "default", f"default of torch, since norm={norm} sets the scale"
    if activation == "selu":
        return "lecun_normal", "preserves mean 0 and variance 1 with SELU"
    if activation in _SATURATING:
        return "xavier_uniform", f"preserves the variance forward and backward with {activation}"
    return "kaiming_normal", f"compensates for the variance lost in {activation}"


def described(arguments: Mapping[str, object]) -> str:
    """Return `scheme (reason)` for the arguments of a model; "" without the key `init`."""
    if "init" not in arguments:
        return ""
    named = {key: str(arguments[key]) for key in ("activation", "norm") if key in arguments}
    scheme, reason = resolve_scheme(str(arguments["init"]), **named)
    return f"{scheme} ({reason})"


def initialized(model: Model, name: str, activation: str = "relu", norm: str = "none") -> Model:
    """Initialize the linear and convolution layers of `model`, and return it; default leaves it unchanged.

    Biases are set to 0. The last linear layer, whose outputs are logits or values, is scaled for the identity.
    Normalization layers are unchanged.

    Args:
        model: The model; modified.
        name: One of INITS.
        activation: Name of the activation.
        norm: Name of the normalization.

    Raises ValueError for an unknown name.
    """
    scheme, _ = resolve_scheme(name, activation, norm)
    if scheme == "default":
        return model
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)]
    last = next((layer for layer in reversed(layers) if isinstance(layer, nn.Linear)), None)
    for layer in layers:
        _fill(layer.weight, scheme, "identity" if layer is last else activation)
        if layer.bias is not None:
            init.zeros_(layer.bias)
    return model


def gain(activation: str) -> float:
    """Return the factor of the standard deviation that preserves the variance with an activation."""
    if activation in _SLOPES:
        return sqrt(2 / (1 + _SLOPES[activation] ** 2))
    if activation == "tanh":
        return 5 / 3
    return 1.0 if activation in (*_SATURATING, "selu") else sqrt(2)


def _fill(weight: Tensor, scheme: str, activation: str) -> None:
    fan_in = max(1, prod(weight.shape[1:]))
    scale = gain(activation)
    fillers: dict[str, Callable[[], object]] = {
        "xavier_uniform": lambda: init.xavier_uniform_(weight, scale),
        "xavier_normal": lambda: init.xavier_normal_(weight, scale),
        "kaiming_uniform": lambda: init.uniform_(weight, -scale * sqrt(3 / fan_in), scale * sqrt(3 / fan_in)),
        "kaiming_normal": lambda: init.normal_(weight, 0.0, scale / sqrt(fan_in)),
        "lecun_normal": lambda: init.normal_(weight, 0.0, 1 / sqrt(fan_in)),
        "orthogonal": lambda: init.orthogonal_(weight, scale),
        "trunc_normal": lambda: init.trunc_normal_(weight, 0.0, 0.02, -0.04, 0.04),
        "normal": lambda: init.normal_(weight, 0.0, 0.01),
    }
    fillers[scheme]()
