"""Layers: functions with parameters, and the derivatives that train them.

Training lowers a loss L, a number that depends on the output of the last layer. By the chain rule, a layer that is
given dL/dy can compute dL/dx for the layer before it and dL/dw for its own parameters (Rumelhart, Hinton & Williams
1986). Layers that follow each other are walked through forward once, and backward once.

Symbols: x input and y output of a layer, w a parameter; dx, dy, dw the derivatives of L by them, of the same shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray

Array = NDArray[Any]


class Layer:
    """A function y = f(x; w) and its derivative.

    A class that derives from it writes `forward` and `backward`. Both return new arrays of the type that they are given
    (float32 or float64) or views of it, and never write to their arguments.

    Attributes:
        parameters: Name -> array that is trained.
        gradients: Name -> dw of the last `backward`, new arrays with the keys and shapes of `parameters`.
        buffers: Name -> array that is not trained, such as a running mean.
        saved: All that `backward` needs of the last `forward`, by name. `forward` replaces it and changes no earlier
            one, so that the derivatives of two calls can be computed later.
        training: Whether the layer behaves as in training; it matters for dropout and batch normalization.
        multiply_adds: Products of two numbers in the matrix products of the last `forward`.
        settings: Names of attributes, other than arrays, that may be changed between two calls.
    """

    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}
        self.saved: dict[str, Any] = {}
        self.training = True
        self.multiply_adds = 0

    def forward(self, x: Array, *others: Array) -> Array:
        """Return y, and save what `backward` needs.

        Args:
            x: The input, which the loss is differentiated by.
            others: More inputs without a derivative, such as the lengths of sequences.
        """
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        """Return dx for the last `forward`, and set `gradients`."""
        raise NotImplementedError

    def children(self) -> dict[str, Layer]:
        """Return the layers that this one consists of, by name."""
        return {}

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield (dotted name, layer) of this layer, named `prefix`, and of all layers within it."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.layers(f"{prefix}.{name}" if prefix else name)

    def named(self, kind: str) -> dict[str, Array]:
        """Return dotted name -> array of this layer and all within it.

        Args:
            kind: parameters, gradients or buffers.
        """
        return {
            f"{place}.{name}" if place else name: array
            for place, layer in self.layers()
            for name, array in getattr(layer, kind).items()
        }

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy `arrays`, by dotted name, into the parameters and buffers of this layer and all within it.

        Raises ValueError for names or shapes that differ.
        """
        own = {**self.named("parameters"), **self.named("buffers")}
        if own.keys() != arrays.keys():
            raise ValueError(f"arrays must be named {', '.join(own)}, got {', '.join(arrays)}")
        for name, array in own.items():
            if array.shape != arrays[name].shape:
                raise ValueError(f"{name} must have shape {array.shape}, got {arrays[name].shape}")
            array[...] = arrays[name]

    def set_training(self, training: bool) -> None:
        """Set `training` of this layer and of all within it."""
        for _, layer in self.layers():
            layer.training = training

    def take_saved(self) -> list[dict[str, Any]]:
        """Return what `backward` needs of the last `forward`, of this layer and all within it, which forget it."""
        found = []
        for _, layer in self.layers():
            found.append(layer.saved)
            layer.saved = {}
        return found

    def put_saved(self, saved: Sequence[dict[str, Any]]) -> None:
        """Put back a result of `take_saved`, so that `backward` is that of this call."""
        for (_, layer), own in zip(self.layers(), saved, strict=True):
            layer.saved = own


class Sequential(Layer):
    """Layers one after the other: y = f_n(... f_2(f_1(x))).

    Args:
        stages: The layers, first to last; their names are 0, 1, ...
    """

    def __init__(self, *stages: Layer) -> None:
        super().__init__()
        self.stages = stages

    def children(self) -> dict[str, Layer]:
        """Return the layers by their number."""
        return {str(number): layer for number, layer in enumerate(self.stages)}

    def forward(self, x: Array, *others: Array) -> Array:
        """Walk through the layers from first to last; `others` are for the first one."""
        for number, layer in enumerate(self.stages):
            x = layer.forward(x, *(others if number == 0 else ()))
        return x

    def backward(self, dy: Array) -> Array:
        """Walk through the layers from last to first: dx of one is dy of the one before it."""
        for layer in reversed(self.stages):
            dy = layer.backward(dy)
        return dy
