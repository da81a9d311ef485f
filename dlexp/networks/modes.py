"""Training and evaluation mode of networks, set and put back in one pass over their modules; buffers put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn


def set_mode(network: nn.Module, training: bool) -> None:
    """Do what `network.train(training)` does: the same attributes, in a third of the time where modules are plain.

    A module with a `train` or `eval` of its own is asked as usual.
    """
    _set_mode(network, list(network.modules()), training)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the body; afterwards every module is in its own mode again, which may be another one than
    that of the network around it."""
    modules = list(network.modules())
    modes = [module.training for module in modules]
    _set_mode(network, modules, False)
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            if _is_plain(module):
                module.__dict__["training"] = mode
            else:
                module.training = mode


@contextmanager
def kept_buffers(network: nn.Module) -> Iterator[None]:
    """Put back the buffers of a network, such as running statistics, after the body."""
    buffers = list(network.buffers())
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)


def _set_mode(network: nn.Module, modules: list[nn.Module], training: bool) -> None:
    if all(map(_is_plain, modules)):
        for module in modules:
            module.__dict__["training"] = training
    else:
        network.train(training)


def _is_plain(module: nn.Module) -> bool:
    """Return whether nothing but its attribute `training` depends on the mode of a module."""
    kind: Any = type(module)  # mypy takes a class of modules for unhashable
    return "train" not in module.__dict__ and "eval" not in module.__dict__ and _is_plain_class(kind)


@cache
def _is_plain_class(kind: Any) -> bool:
    own = (kind.train, kind.eval, kind.__setattr__)
    return not hasattr(kind, "training") and own == (nn.Module.train, nn.Module.eval, nn.Module.__setattr__)
