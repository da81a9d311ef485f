"""A layer in NumPy against numerical derivatives and against torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.scratch.layer import Array, Layer

TorchFunction = Callable[..., Tensor]  # (inputs, parameters by name) -> outputs


def random(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def with_random_parameters(layer: Layer, seed: int = 1) -> Layer:
    """The layer with float64 parameters of mean 0 and deviation 1/2, so that every one of them shows."""
    rng = np.random.default_rng(seed)
    for _, part in layer.layers():
        part.parameters = {name: rng.normal(0, 0.5, array.shape) for name, array in part.parameters.items()}
    return layer


def assert_close(found: Array, expected: Array, limit: float) -> None:
    """To `limit` of the largest expected number."""
    assert found.shape == expected.shape
    scale = max(1e-3, float(np.abs(expected).max(initial=0)))
    assert float(np.abs(found - expected).max(initial=0)) <= limit * scale


def assert_like_torch(layer: Layer, function: TorchFunction, x: Array, *others: Array) -> None:
    """Outputs and all gradients to 1e-10 in float64, and types are kept."""
    inputs = torch.from_numpy(x.copy())
    leaves = {
        name: torch.from_numpy(array.copy()).requires_grad_() for name, array in layer.named("parameters").items()
    }
    if inputs.is_floating_point():
        leaves = {"": inputs.requires_grad_(), **leaves}
    expected = function(inputs, {name: leaf for name, leaf in leaves.items() if name}, *map(torch.from_numpy, others))
    y = layer.forward(x, *others)
    assert y.dtype == np.float64
    assert_close(y, expected.detach().numpy(), 1e-10)
    dy = random(y.shape, seed=2)
    gradients = torch.autograd.grad(expected, [*leaves.values()], torch.from_numpy(dy))
    wanted = dict(zip(leaves, gradients, strict=True))
    kept = dy.copy()
    dx = layer.backward(dy)
    assert np.array_equal(dy, kept)
    found: dict[str, Array] = {"": dx} if inputs.is_floating_point() else {}
    found |= layer.named("gradients")
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert_close(found[name], gradient.numpy(), 1e-10)


def assert_numerical(layer: Layer, x: Array, *others: Array, entries: int = 12, step: float = 1e-6) -> None:
    """Each gradient at a dozen entries against (L(w + h) - L(w - h)) / 2h, to 1e-6 of the largest."""
    factor = random(layer.forward(x, *others).shape, seed=3)
    dx = layer.backward(factor)
    analytic: dict[str, Array] = dict(layer.named("gradients"))
    arrays: dict[str, Array] = dict(layer.named("parameters"))
    if np.issubdtype(x.dtype, np.floating):
        x = x.copy()
        analytic[""], arrays[""] = dx, x
    rng = np.random.default_rng(4)
    for name, array in arrays.items():
        scale = max(1.0, float(np.abs(analytic[name]).max(initial=0)))
        for place in rng.choice(array.size, min(entries, array.size), replace=False):
            index = np.unravel_index(place, array.shape)
            values = []
            middle = array[index]
            for other in (middle + step, middle - step):
                array[index] = other
                values.append(float((layer.forward(x, *others) * factor).sum()))
            array[index] = middle
            slope = (values[0] - values[1]) / (2 * step)
            assert abs(slope - analytic[name][index]) <= 1e-6 * scale, (name, index)


def assert_float32(layer: Layer, x: Array, *others: Array) -> None:
    """float32 in, float32 out, forward and backward, parameters too."""
    for _, part in layer.layers():
        part.parameters = {name: array.astype(np.float32) for name, array in part.parameters.items()}
    y = layer.forward(x.astype(np.float32) if np.issubdtype(x.dtype, np.floating) else x, *others)
    dx = layer.backward(np.ones_like(y))
    types: dict[str, Any] = {"y": y.dtype, "dx": dx.dtype}
    types |= {name: array.dtype for name, array in layer.named("gradients").items()}
    assert set(types.values()) == {np.dtype(np.float32)}, types
