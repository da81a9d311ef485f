"""The operations of an update, recorded while it runs: their fingerprint, and what in it no graph can hold.

Recording takes milliseconds and needs no compiler, so that a start that finds its graph in the cache compiles and
traces nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Untraceable(Exception):
    """The update cannot be one graph; the text says what it does that none can."""


class Recording(TorchDispatchMode):
    """Within it, every operation of torch is hashed: its name, its numbers and which tensors it takes.

    Two recordings with one fingerprint are the same computation: tensors that are neither inputs nor results count with
    their values. Addresses, names of Python and anything else of this process have no influence.

    Args:
        inputs: The tensors that the computation reads and changes, in an order that is the same each time.

    Attributes:
        operations: Number of operations so far.

    Raises Untraceable, in the operation, for one that reads a number from a tensor, returns tensors whose shape depends
    on values, or changes a tensor that is no input.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self._hash = hashlib.sha256(f"torch {torch.__version__}".encode())
        self._numbers: dict[int, int] = {}
        self._kept: list[Tensor] = []  # an id is that of another object once its tensor is gone
        self._constants: set[int] = set()
        for tensor in inputs:
            self._note(tensor)
            self._add(_kind(tensor))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: torch would import its compiler, which takes a second, to keep it out of this class."""
        return False

    def fingerprint(self) -> str:
        """The hash of the operations so far, 64 hexadecimal digits."""
        return self._hash.copy().hexdigest()

    def add(self, *words: object) -> None:
        """Make plain values part of the fingerprint."""
        self._add(repr(words))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and record it."""
        kwargs = kwargs or {}
        if func.namespace == "profiler":  # marks, which compute nothing
            return func(*args, **kwargs)
        self.operations += 1
        name = str(func)
        if torch.Tag.data_dependent_output in func.tags or "_local_scalar_dense" in name:
            raise Untraceable("it reads a number from a tensor, on which what follows may depend")
        if torch.Tag.dynamic_output_shape in func.tags:
            raise Untraceable(f"the shape of the result of {name} depends on values")
        self._add(name, self._words(args), self._words(kwargs))
        if func._schema.is_mutable:
            self._refuse_changed_constants(func, args, kwargs, name)
        found = func(*args, **kwargs)
        self._results(found)
        return found

    def _results(self, found: Any) -> None:
        if isinstance(found, Tensor):
            self._note(found)
        elif isinstance(found, list | tuple):
            for part in found:
                self._results(part)

    def _note(self, tensor: Tensor) -> None:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self._numbers)
            self._kept.append(tensor)

    def _words(self, value: Any) -> str:
        """What identifies an argument within the computation."""
        if isinstance(value, Tensor):
            if id(value) not in self._numbers:
                return self._constant(value)
            return f"t{self._numbers[id(value)]}"
        if isinstance(value, list | tuple):
            return f"[{','.join(map(self._words, value))}]"
        if isinstance(value, Mapping):
            return f"{{{','.join(f'{key}:{self._words(part)}' for key, part in value.items())}}}"
        if isinstance(value, torch.Generator):
            raise Untraceable("it draws from a generator of its own")
        return repr(value)

    def _constant(self, tensor: Tensor) -> str:
        """A tensor that the computation found somewhere: it counts with its values."""
        self._note(tensor)
        self._constants.add(id(tensor))
        if tensor.layout != torch.strided or tensor.is_meta:
            raise Untraceable(f"it takes a tensor of layout {tensor.layout}")
        with torch._C._DisableTorchDispatch():
            values = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return f"c{self._numbers[id(tensor)]} {_kind(tensor)} {hashlib.sha256(values).hexdigest()}"

    def _refuse_changed_constants(self, func: Any, args: Any, kwargs: Any, name: str) -> None:
        for place, argument in enumerate(func._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            for tensor in given if isinstance(given, list | tuple) else [given]:
                if isinstance(tensor, Tensor) and id(tensor) in self._constants:
                    raise Untraceable(f"{name} changes a tensor that belongs neither to the networks nor the optimizer")

    def _add(self, *words: str) -> None:
        for word in words:
            self._hash.update(word.encode())
            self._hash.update(b"\n")


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)} {tensor.stride()} {tensor.device} {tensor.requires_grad}"
