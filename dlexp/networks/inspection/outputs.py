"""The outputs of the layers of networks, recorded without changing them.

Symbols: B samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from dlexp.networks.modes import evaluation_mode, kept_buffers

Receive = Callable[[str, nn.Module, Tensor], object]


def layers_of(networks: nn.ModuleDict) -> dict[str, nn.Module]:
    """Name -> module of every layer, in the order of registration; names of a single network are without its own."""
    if len(networks) == 1:
        (only,) = networks.values()
        return {name: module for name, module in only.named_modules() if name} or {"network": only}
    return {name: module for name, module in networks.named_modules() if "." in name}


def innermost(layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The layers without layers inside them, and those with parameters of their own."""
    return {
        name: module
        for name, module in layers.items()
        if not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))
    }


@contextmanager
def recording(layers: Mapping[str, nn.Module], receive: Receive, *, inputs: bool = False) -> Iterator[None]:
    """Call `receive(name, module, output)` for each call of a layer in the body; the hooks are removed afterwards.

    Args:
        layers: Name -> module.
        receive: Receives the output; of a layer with several, such as an LSTM, the first tensor.
        inputs: Whether the first input is received instead.
    """

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, given: Any, output: Any) -> None:
            tensor = first_tensor(given if inputs else output)
            if tensor is not None:
                receive(name, module, tensor.detach())

        return note

    handles = [module.register_forward_hook(hook(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def as_found(networks: nn.Module) -> Iterator[None]:
    """Evaluation mode in the body; modes and buffers, such as running statistics, are put back afterwards."""
    with kept_buffers(networks), evaluation_mode(networks):
        yield


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor in nested tuples, lists and mappings; the values of a packed sequence; None if there is none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return value.data
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)
