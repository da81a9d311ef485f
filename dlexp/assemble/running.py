"""The part of an experiment that runs, so that an exception of a network can be told from one of a loss or a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from traceback import walk_tb

from torch import Tensor, nn


@contextmanager
def parts_running(parts: Mapping[nn.Module, str]) -> Iterator[list[str]]:
    """Yield the names of the modules of `parts` whose forward pass runs, innermost last.

    After an exception within a forward pass, its name is still there.
    """
    running: list[str] = []
    handles = []
    for module, name in parts.items():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        handles.append(module.register_forward_hook(lambda *_: _ended(running)))
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _ended(running: list[str]) -> None:
    """Remove the last name; returns nothing, since what a hook returns replaces the output."""
    running.pop()


def failing_layer(error: BaseException, networks: nn.ModuleDict) -> str:
    """Return the innermost layer whose forward pass raised `error`, and the shapes of its inputs; "" for none.

    It is found in the frames of the traceback, so that no hook is needed, which would change the kernels of attention.
    """
    names = {id(module): (name, module) for name, module in networks.named_modules() if name}
    found = ""
    for frame, _ in walk_tb(error.__traceback__):
        module = frame.f_locals.get("self")
        if frame.f_code.co_name == "_call_impl" and id(module) in names and isinstance(module, nn.Module):
            name = names[id(module)][0]
            name = name.removeprefix("model.") if len(networks) == 1 else name
            kind = type(module).__name__
            layer = f"{kind}.forward" if name == "model" else f"layer {name} ({kind})"
            given = [*frame.f_locals.get("args", ()), *frame.f_locals.get("kwargs", {}).values()]
            shapes = [" x ".join(map(str, value.shape)) or "a number" for value in given if isinstance(value, Tensor)]
            found = f"{layer}, input {', '.join(shapes)}" if shapes else layer
    return found
