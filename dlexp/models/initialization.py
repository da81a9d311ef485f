"""How weights begin: by name, or fitted to the activation.

Symbols: fan_in numbers that a unit reads, fan_out units that read a number.
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


def chosen(name: str, activation: str = "relu", norm: str = "none") -> tuple[str, str]:
    """(scheme, why): what `init=name` stands for with this activation and normalisation.

    auto takes torch's own where a normalisation follows every layer, since that undoes any scale; else LeCun for SELU
    (Klambauer et al. 2017), Xavier for activations that saturate (Glorot & Bengio 2010), Kaiming for the others (He et
    al. 2015). Raises ValueError on another name.
    """
    if name not in INITS:
        raise ValueError(f"init={name!r} is not one of {', '.join(INITS)}")
    if name != "auto":
        return name, "as asked for"
    if norm != "none":
        return "default", f"norm={norm} sets the scale, so torch's own is kept"
    if activation == "selu":
        return "lecun_normal", "keeps mean 0 and variance 1 through SELU"
    if activation in _SATURATING:
        return "xavier_uniform", f"keeps the variance both ways through {activation}"
    return "kaiming_normal", f"makes up for what {activation} cuts off"


def described(arguments: Mapping[str, object]) -> str:
    """`scheme (why)` for the arguments of a model with the key `init`; "" for one without."""
    if "init" not in arguments:
        return ""
    named = {key: str(arguments[key]) for key in ("activation", "norm") if key in arguments}
    scheme, why = chosen(str(arguments["init"]), **named)
    return f"{scheme} ({why})"


def initialized(model: Model, name: str, activation: str = "relu", norm: str = "none") -> Model:
    """`model` with the weights of its linear and convolution layers drawn anew; default leaves them as they are.

    Biases become 0. The last linear layer puts out logits or values, so it is scaled for no activation.
    Normalisation layers stay as they are. Raises ValueError on an unknown name.
    """
    scheme, _ = chosen(name, activation, norm)
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
    """What the deviation of a layer is multiplied with so that the activation behind it keeps the variance."""
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
