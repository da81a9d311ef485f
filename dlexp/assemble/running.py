"""The part of an experiment that runs, so that an exception of a network can be told from one of a loss or a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn


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
