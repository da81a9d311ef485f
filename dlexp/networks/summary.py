"""Output shapes, parameters, arithmetic and memory of the layers of networks, measured in a forward pass.

Symbols: B samples of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.networks.multiply_adds import Products, counted_products


@dataclass
class Layer:
    """A module without children, with its own parameters, or with its own matrix products.

    Attributes:
        name: Dotted path in the networks.
        kind: Name of its class.
        shape: Shape of its output, beginning with B; () for a layer that did not run or returned no tensor;
            the first one of several.
        parameters: Number of its own parameters, without those shared with an earlier layer.
        trainable: Number of its own trainable parameters.
        multiply_adds: Multiply-adds of matrix products, convolutions, attention and recurrent layers for B samples,
            without those of other layers inside it.
        output_bytes: Newly allocated memory of its outputs for B samples; 0 for a module with layers inside it.
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    parameters: int = 0
    trainable: int = 0
    multiply_adds: int = 0
    output_bytes: int = 0


def summarize_layers(networks: nn.ModuleDict, run: Callable[[nn.ModuleDict], object]) -> list[Layer]:
    """Return the layers of `networks` in the order of their first call, those never called last.

    Args:
        networks: The networks.
        run: Runs a forward pass of the networks.
    """
    found, inner = _rows(networks)
    order: list[str] = []
    begun: list[list[int]] = []  # for each running module: multiply-adds before it, and of modules inside it

    def before(counter: Products) -> Callable[[nn.Module, Any], None]:
        def note(_module: nn.Module, _inputs: Any) -> None:
            begun.append([counter.multiply_adds, 0])

        return note

    def after(name: str, counter: Products) -> Callable[[nn.Module, Any, Any], None]:
        def note(_module: nn.Module, inputs: Any, output: Any) -> None:
            start, inside = begun.pop()
            total = counter.multiply_adds - start
            if begun:
                begun[-1][1] += total
            row = found[name]
            row.multiply_adds += total - inside
            if isinstance(output, tuple) and output:  # of recurrent layers: the outputs, and the last state
                output = output[0]
            if isinstance(output, Tensor):
                row.shape = tuple(output.shape)
                is_new = name in inner and not _is_view(output, inputs)
                row.output_bytes += output.numel() * output.element_size() if is_new else 0
            if name not in order:
                order.append(name)

        return note

    handles: list[Any] = []
    try:
        with torch.no_grad(), counted_products() as counter:
            for name, module in _modules(networks).items():
                handles.append(module.register_forward_pre_hook(before(counter)))
                handles.append(module.register_forward_hook(after(name, counter)))
            run(networks)
    finally:
        for handle in handles:
            handle.remove()
    order = [name for name in order if name in inner or found[name].multiply_adds]
    return [*(found[name] for name in order), *_never_called(found, order)]


def _never_called(found: dict[str, Layer], order: list[str]) -> list[Layer]:
    """Return the layers that were never called; those inside a layer that uses them, as in attention, count there."""
    left = []
    for name, row in found.items():
        if name in order or not row.parameters:
            continue
        around = max((n for n in order if name.startswith(f"{n}.")), key=len, default=None)
        if around is None:
            left.append(row)
        else:
            found[around].parameters += row.parameters
            found[around].trainable += row.trainable
    return left


def _modules(networks: nn.ModuleDict) -> dict[str, nn.Module]:
    """Return every module once, by its first name."""
    return dict(networks.named_modules())


def _rows(networks: nn.ModuleDict) -> tuple[dict[str, Layer], set[str]]:
    """Return a row for every module, and the names of those that are always layers."""
    found: dict[str, Layer] = {}
    inner: set[str] = set()
    seen: set[int] = set()
    for name, module in _modules(networks).items():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen |= {id(p) for p in own}
        sizes = [(p.numel(), p.requires_grad) for p in own]
        total, trainable = sum(n for n, _ in sizes), sum(n for n, changes in sizes if changes)
        found[name] = Layer(name, type(module).__name__, parameters=total, trainable=trainable)
        if own or not any(True for _ in module.children()):
            inner.add(name)
    return found, inner


def _is_view(output: Tensor, inputs: Any) -> bool:
    """Return whether the output shares memory with an input, as in Flatten and Identity."""
    given = [value for value in inputs if isinstance(value, Tensor)] if isinstance(inputs, tuple) else []
    return any(value.untyped_storage()._cdata == output.untyped_storage()._cdata for value in given)
