"""The last step before a network: what is applied to every batch of inputs, in training and after.

Symbols: B samples of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, overload

import torch
from torch import Tensor

from dlexp.types import Field, Sequences


class Preprocess(ABC):
    """A fixed map of inputs, in plain values that are saved with a run."""

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, inputs: Field) -> Field:
        """Inputs as the data set gives them -> inputs of the network."""

    def to(self, device: torch.device) -> Self:
        """The same map on `device`."""
        return self

    def to_plain(self) -> dict[str, Any]:
        """Plain values that `from_plain` makes an equal map of."""
        return {"kind": self.kind}

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Preprocess:
        """The map that `to_plain` described. Raises ValueError for an unknown kind."""
        if values["kind"] == Identity.kind:
            return Identity()
        if values["kind"] == Affine.kind:
            return Affine(*(_in_full(values[name]["values"], values[name]["shape"]) for name in ("scale", "shift")))
        raise ValueError(f"unknown preprocessing {values['kind']!r}; known: {Identity.kind}, {Affine.kind}")


@dataclass(frozen=True)
class Identity(Preprocess):
    """Inputs as they are, of any type: for token ids, and for data that are ready."""

    kind: ClassVar[str] = "identity"

    def __call__(self, inputs: Field) -> Field:
        """The same inputs."""
        return inputs


@dataclass(frozen=True)
class Affine(Preprocess):
    """`inputs * scale + shift`, element by element: pixels to numbers of mean 0 and deviation 1.

    scale, shift  shape that broadcasts against (B, *shape), float32
    """

    scale: Tensor
    shift: Tensor

    kind: ClassVar[str] = "affine"

    @overload
    def __call__(self, inputs: Tensor) -> Tensor: ...
    @overload
    def __call__(self, inputs: Field) -> Field: ...
    def __call__(self, inputs: Field) -> Field:
        """(B, *shape) of any type, or `Sequences` of it -> the same shape, float32; padding stays zero.

        Raises TypeError for inputs that are several tensors by name.
        """
        if isinstance(inputs, Tensor):
            if inputs.dtype == torch.float32:  # may be the samples themselves
                return torch.addcmul(self.shift, inputs, self.scale)
            numbers = inputs.float()
            return torch.addcmul(self.shift, numbers, self.scale, out=numbers)
        if isinstance(inputs, Sequences):
            mask = inputs.mask
            padding = ~mask.reshape(*mask.shape, *(1,) * (inputs.values.dim() - 2))
            return Sequences(self(inputs.values).masked_fill(padding, 0), inputs.lengths)
        raise TypeError("Affine maps one tensor. Use Identity for inputs of several tensors.")

    def to(self, device: torch.device) -> Affine:
        """The same map on `device`."""
        return Affine(self.scale.to(device), self.shift.to(device))

    def to_plain(self) -> dict[str, Any]:
        """Plain values that `from_plain` makes the same bits of; what is equal along an axis is kept once."""
        parts = {"scale": self.scale, "shift": self.shift}
        plain = {name: {"shape": list(part.shape), "values": _once(part).tolist()} for name, part in parts.items()}
        return {"kind": self.kind, **plain}


def _once(values: Tensor) -> Tensor:
    """`values` with length 1 along every axis along which they are all the same."""
    for axis in range(values.dim()):
        first = values.narrow(axis, 0, 1)
        values = first if torch.equal(values, first.expand_as(values)) else values
    return values


def _in_full(values: Any, shape: Sequence[int]) -> Tensor:
    """float32 of `shape`; of an image with the channels last in memory, as images are."""
    spread = torch.tensor(values, dtype=torch.float32).expand(tuple(shape))
    if len(shape) != 3:
        return spread.contiguous()
    return spread.permute(1, 2, 0).contiguous().permute(2, 0, 1)
