"""Changes of networks that no word makes: what trials of code of one's own need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from dlexp.diagnosis.case import NetworkChange
from dlexp.networks.inspection.activations import bare, forms_of
from dlexp.networks.inspection.outputs import layers_of

_SLOPE = 0.1  # of the flat side: large enough to bring a unit back within a trial


def _bare(networks: nn.ModuleDict) -> None:
    bare(networks["model"])


def _unfrozen(networks: nn.ModuleDict) -> None:
    networks.requires_grad_(True)


def _leaky(networks: nn.ModuleDict) -> None:
    _run_within(networks["model"], _Leaky)


def _run_within(network: nn.Module, mode: Callable[[], TorchFunctionMode]) -> None:
    """Let the forward pass run in a mode."""
    running: list[ExitStack] = []

    def enters(*_: Any) -> None:
        stack = ExitStack()
        stack.enter_context(mode())
        running.append(stack)

    def leaves(*_: Any) -> None:
        running.pop().close()

    network.register_forward_pre_hook(enters)
    network.register_forward_hook(leaves, always_call=True)


def _in_fp32(networks: nn.ModuleDict) -> None:
    networks.float()
    _run_within(networks["model"], _Wide)


class _Wide(TorchFunctionMode):
    """Numbers of 32 bits wherever a network asks for 16."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (torch.Tensor.bfloat16, torch.Tensor.half):
            return args[0].float()
        named = {name: _widened(value) for name, value in (kwargs or {}).items()}
        return func(*map(_widened, args), **named)


def _widened(value: Any) -> Any:
    return torch.float32 if isinstance(value, torch.dtype) and value in (torch.bfloat16, torch.float16) else value


class _Leaky(TorchFunctionMode):
    """Rectifiers with a slope below 0."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func in _RECTIFIERS:
            return F.leaky_relu(args[0] if args else named["input"], _SLOPE)
        return func(*args, **named)


_RECTIFIERS = forms_of("relu")

BARE = NetworkChange("without the activation of the outputs", _bare)
UNFROZEN = NetworkChange("with every parameter trained", _unfrozen)
LEAKY = NetworkChange("with leaky rectifiers", _leaky)
IN_FP32 = NetworkChange("with weights of 32 bits", _in_fp32)


def rescaled(factors: Mapping[str, float]) -> NetworkChange:
    """The weights of some layers multiplied at the start.

    Args:
        factors: Dotted path of a layer, as measures name it -> factor.
    """

    def apply(networks: nn.ModuleDict) -> None:
        layers = layers_of(networks)
        with torch.no_grad():
            for name, factor in factors.items():
                for parameter in layers[name].parameters(recurse=False):
                    parameter.mul_(factor)

    named = ", ".join(f"{name} times {factor:.3g}" for name, factor in factors.items())
    return NetworkChange(f"with the initial weights of {named}", apply)


def levelled(names: Sequence[str], factor: float) -> NetworkChange:
    """The weights of the layers between the first and the last multiplied at the start, and not their biases.

    Args:
        names: Dotted paths of the layers, as measures name them.
        factor: What each of them is multiplied by.
    """

    def apply(networks: nn.ModuleDict) -> None:
        layers = layers_of(networks)
        with torch.no_grad():
            for name in names:
                weight = getattr(layers[name], "weight", None)
                if isinstance(weight, nn.Parameter):
                    weight.mul_(factor)

    return NetworkChange(f"with the initial weights of the {len(names)} inner layers times {factor:.3g}", apply)


def unbiased(names: Sequence[str]) -> NetworkChange:
    """The biases of some layers 0 at the start: dotted paths, as measures name them."""

    def apply(networks: nn.ModuleDict) -> None:
        layers = layers_of(networks)
        with torch.no_grad():
            for name in names:
                bias = getattr(layers[name], "bias", None)
                if isinstance(bias, nn.Parameter):
                    bias.zero_()

    return NetworkChange(f"with the initial biases of {', '.join(names)} at 0", apply)
