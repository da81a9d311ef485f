"""What the layers of some networks put out, hold and cost, seen in one forward pass.

Symbols: B samples of the pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Layer:
    """A module without children, or one with parameters of its own.

    name            dotted path in the networks
    kind            name of its class
    shape           of its output with B in front, () for a layer that was not run or puts out no tensor
    parameters      numbers of its own, those shared with an earlier layer left out
    trainable       those of them that training changes
    multiply_adds   of matrix products, convolutions and attention, over all B samples
    output_bytes    new memory of its outputs over all B samples
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    parameters: int = 0
    trainable: int = 0
    multiply_adds: int = 0
    output_bytes: int = 0


def layers_of(networks: nn.ModuleDict, run: Callable[[nn.ModuleDict], object]) -> list[Layer]:
    """The layers of `networks` in the order of the first call, those never called last.

    run  passes some samples through the networks it is given
    """
    found, modules = _rows(networks)
    order: list[str] = []
    counter = FlopCounterMode(display=False)
    begun: list[list[int]] = []  # of each row that is running: operations before it, and those of rows inside it

    def before(_module: nn.Module, _inputs: Any) -> None:
        begun.append([counter.get_total_flops(), 0])

    def after(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(_module: nn.Module, inputs: Any, output: Any) -> None:
            start, inside = begun.pop()
            total = counter.get_total_flops() - start
            if begun:
                begun[-1][1] += total
            row = found[name]
            row.multiply_adds += (total - inside) // 2
            if isinstance(output, Tensor):
                row.shape = tuple(output.shape)
                row.output_bytes += 0 if _is_view(output, inputs) else output.numel() * output.element_size()
            if name not in order:
                order.append(name)

        return note

    handles = [module.register_forward_pre_hook(before) for module in modules.values()]
    handles += [module.register_forward_hook(after(name)) for name, module in modules.items()]
    try:
        with torch.no_grad(), counter:
            run(networks)
    finally:
        for handle in handles:
            handle.remove()
    return [*(found[name] for name in order), *_never_called(found, order)]


def _never_called(found: dict[str, Layer], order: list[str]) -> list[Layer]:
    """Rows that no call was seen of; what a row around them reads itself, as attention does, is counted there."""
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


def _rows(networks: nn.ModuleDict) -> tuple[dict[str, Layer], dict[str, nn.Module]]:
    found: dict[str, Layer] = {}
    modules: dict[str, nn.Module] = {}
    seen: set[int] = set()
    for name, module in networks.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen |= {id(p) for p in own}
        if own or not any(True for _ in module.children()):
            modules[name] = module
            sizes = [(p.numel(), p.requires_grad) for p in own]
            total, trainable = sum(n for n, _ in sizes), sum(n for n, changes in sizes if changes)
            found[name] = Layer(name, type(module).__name__, parameters=total, trainable=trainable)
    return found, modules


def _is_view(output: Tensor, inputs: Any) -> bool:
    """Whether the output lies in the memory of an input, as those of Flatten and Identity do."""
    given = [value for value in inputs if isinstance(value, Tensor)] if isinstance(inputs, tuple) else []
    return any(value.untyped_storage()._cdata == output.untyped_storage()._cdata for value in given)
