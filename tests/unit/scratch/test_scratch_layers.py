"""Every layer in NumPy: its derivatives beside numerical ones, and all it computes beside torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dlexp.scratch.activations import Elu, Identity, LeakyRelu, Relu, Sigmoid, Softmax, Step, Swish, Tanh
from dlexp.scratch.dense import Dense, Flatten
from dlexp.scratch.dropout import Dropout, masks_of
from dlexp.scratch.gradient_check import derivative_errors, numerical_derivative
from dlexp.scratch.layer import Array, Layer, Sequential
from dlexp.scratch.normalization import BatchNorm, LayerNorm

ACTIVATIONS: dict[str, tuple[Layer, Callable[[Tensor], Tensor]]] = {
    "identity": (Identity(), lambda x: x),
    "sigmoid": (Sigmoid(), torch.sigmoid),
    "tanh": (Tanh(), torch.tanh),
    "relu": (Relu(), torch.relu),
    "leaky_relu": (LeakyRelu(0.1), lambda x: F.leaky_relu(x, 0.1)),
    "elu": (Elu(0.7), lambda x: F.elu(x, 0.7)),
    "swish": (Swish(), F.silu),
    "softmax": (Softmax(), lambda x: torch.softmax(x, -1)),
    "softmax of columns": (Softmax(axis=0), lambda x: torch.softmax(x, 0)),
}
SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=4)


def normal(*shape: int, seed: int = 0, dtype: str = "float64") -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def beside_torch(layer: Layer, twin: Callable[[Tensor], Tensor], x: Array) -> None:
    """Both compute the same output and the same derivatives: by the input, and by each parameter of a module."""
    given_x = torch.from_numpy(x.copy()).requires_grad_()
    expected = twin(given_x)
    dy = normal(*expected.shape, seed=1)
    expected.backward(torch.from_numpy(dy))
    before, found = x.copy(), layer.forward(x)
    dx = layer.backward(dy)
    assert np.array_equal(x, before)  # an argument is not written to
    assert np.array_equal(dy, normal(*expected.shape, seed=1))
    close(found, expected)
    close(dx, given_x.grad)
    if isinstance(twin, nn.Module):
        own = dict(twin.named_parameters())
        assert layer.named("gradients").keys() == own.keys()
        for name, gradient in layer.named("gradients").items():
            close(gradient, own[name].grad)


def close(found: Array, expected: Tensor | None) -> None:
    assert expected is not None
    wanted = expected.detach().numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-10 * max(1.0, np.abs(wanted).max())


def copied(layer: Layer, twin: nn.Module) -> nn.Module:
    """`twin` in float64 with random weights, which `layer` gets too."""
    twin = twin.double()
    with torch.no_grad():
        for number, parameter in enumerate(twin.parameters()):
            parameter.copy_(torch.from_numpy(normal(*parameter.shape, seed=number)))
    layer.load({name: tensor.numpy() for name, tensor in twin.state_dict().items()})
    return twin


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(shape=SHAPES, scale=st.sampled_from([0.1, 1.0, 30.0]))
@settings(max_examples=12, deadline=None)
def test_an_activation_is_that_of_torch(name: str, shape: list[int], scale: float) -> None:
    layer, twin = ACTIVATIONS[name]
    beside_torch(layer, twin, scale * normal(*shape, seed=sum(shape)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_of_an_activation_is_the_numerical_one(name: str) -> None:
    x = normal(3, 4)
    x[np.abs(x) < 0.1] = 0.5  # away from the kink of a rectifier
    assert derivative_errors(ACTIVATIONS[name][0], x)["x"] < 1e-6


def test_large_inputs_overflow_nowhere() -> None:
    x = np.array([[-1e4, 1e4, 0.0]])
    with np.errstate(all="raise", under="ignore"):
        for layer, _ in ACTIVATIONS.values():
            assert np.isfinite(layer.forward(x)).all()
            assert np.isfinite(layer.backward(np.ones_like(x))).all()


def test_a_step_lets_the_derivative_through_near_0() -> None:
    step, x = Step(), np.array([[-2.0, -0.5, 0.0, 0.5, 2.0]])
    assert step.forward(x).tolist() == [[0, 0, 0, 1, 1]]
    assert step.backward(np.full_like(x, 3.0)).tolist() == [[0, 3, 3, 3, 0]]


@given(shape=SHAPES, outputs=st.integers(1, 4), bias=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_dense_layer_is_that_of_torch(shape: list[int], outputs: int, bias: bool) -> None:
    layer = Dense(shape[-1], outputs, bias, dtype="float64")
    twin = copied(layer, nn.Linear(shape[-1], outputs, bias))
    beside_torch(layer, twin, normal(*shape))
    assert layer.multiply_adds == np.prod(shape) * outputs
    assert max(derivative_errors(layer, normal(*shape)).values()) < 1e-6


def test_a_dense_layer_draws_its_weights_and_refuses_other_inputs() -> None:
    weight = Dense(4, 200, rng=np.random.default_rng(0)).parameters["weight"]
    assert weight.dtype == np.float32
    assert 0.45 < np.abs(weight).max() <= 0.5  # 1 / sqrt(4)
    with pytest.raises(ValueError, match="4 features"):
        Dense(4, 2).forward(normal(3, 5))


@given(shape=SHAPES, training=st.booleans())
@settings(max_examples=20, deadline=None)
def test_batch_normalization_is_that_of_torch(shape: list[int], training: bool) -> None:
    shape[0] += 1  # two samples have a variance
    kinds: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    layer = BatchNorm(shape[1], dtype="float64")
    twin = copied(layer, kinds[len(shape)](shape[1]))
    for number in range(2):
        twin.zero_grad()
        layer.set_training(training)
        beside_torch(layer, twin.train(training), normal(*shape, seed=number) + number)
    for name, buffer in twin.named_buffers():
        close(layer.buffers[name], buffer)


def test_batch_normalization_without_momentum_tracks_the_mean_of_all_batches() -> None:
    layer, twin = BatchNorm(3, momentum=None, dtype="float64"), nn.BatchNorm1d(3, momentum=None).double()
    for number in range(3):
        layer.forward(normal(5, 3, seed=number))
        twin(torch.from_numpy(normal(5, 3, seed=number)))
    close(layer.buffers["running_mean"], twin.running_mean)
    close(layer.buffers["running_var"], twin.running_var)
    with pytest.raises(ValueError, match="two or more"):
        layer.forward(normal(1, 3))


@pytest.mark.parametrize("training", [True, False])
def test_the_derivatives_of_a_norm_are_the_numerical_ones(training: bool) -> None:
    layer = BatchNorm(3, dtype="float64")
    layer.set_training(training)
    assert max(derivative_errors(layer, normal(4, 3, 2)).values()) < 1e-6
    assert max(derivative_errors(LayerNorm(3, dtype="float64"), normal(4, 2, 3)).values()) < 1e-6


@given(shape=SHAPES)
@settings(max_examples=12, deadline=None)
def test_layer_normalization_is_that_of_torch(shape: list[int]) -> None:
    layer = LayerNorm(shape[-1], dtype="float64")
    beside_torch(layer, copied(layer, nn.LayerNorm(shape[-1])), normal(*shape))


def test_dropout_keeps_the_mean_and_leaves_out_the_share() -> None:
    layer = Dropout(0.3, masks_of(np.random.default_rng(1)))
    x = np.ones((400, 100), np.float32)
    y = layer.forward(x)
    assert y.dtype == np.float32
    assert float((y == 0).mean()) == pytest.approx(0.3, abs=0.01)
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.7))}
    assert np.array_equal(layer.backward(x), y)
    layer.set_training(False)
    assert np.array_equal(layer.forward(x), x)
    for wrong in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"\[0, 1\)"):
            Dropout(wrong)


def network() -> Sequential:
    """Every kind of layer of a dense network, in float64."""
    rng, mask = np.random.default_rng(0), (np.arange(12).reshape(2, 6) % 3 > 0) * 1.5
    return Sequential(
        Flatten(),
        Dense(4, 6, rng=rng, dtype="float64"),
        BatchNorm(6, dtype="float64"),
        Sequential(Tanh(), Dropout(0.3, lambda shape, dtype, p: mask)),
        LayerNorm(6, dtype="float64"),
        Dense(6, 3, rng=rng, dtype="float64"),
    )


def test_the_derivatives_of_a_whole_network_are_the_numerical_ones() -> None:
    errors = derivative_errors(network(), normal(2, 2, 2))
    assert errors.keys() == {
        *("x", "1.weight", "1.bias", "2.weight", "2.bias", "4.weight", "4.bias", "5.weight", "5.bias"),
    }
    # A bias in front of a norm changes nothing: both derivatives are rounding errors.
    assert max(error for name, error in errors.items() if name != "1.bias") < 1e-6
    assert np.abs(network_gradients()["1.bias"]).max() < 1e-12


def network_gradients() -> dict[str, Array]:
    layer = network()
    layer.backward(normal(*layer.forward(normal(2, 2, 2)).shape))
    return layer.named("gradients")


class WrongSign(Tanh):
    """A backward pass with a mistake in one place."""

    def backward(self, dy: Array) -> Array:
        dx = super().backward(dy).copy()
        dx[0, 1] *= -1
        return dx


def test_the_check_finds_one_wrong_sign() -> None:
    assert derivative_errors(WrongSign(), normal(3, 4))["x"] > 1e-2
    with pytest.raises(ValueError, match="float64"):
        numerical_derivative(lambda: 0.0, normal(2, dtype="float32"))


def test_two_calls_have_their_own_derivatives() -> None:
    layer = network()
    alone = []
    for seed in (0, 1):
        layer.forward(normal(2, 2, 2, seed=seed))
        alone.append(layer.backward(normal(2, 3)))
    saved = []
    for seed in (0, 1):
        layer.forward(normal(2, 2, 2, seed=seed))
        saved.append(layer.take_saved())
    for number in (0, 1):
        layer.put_saved(saved[number])
        assert np.array_equal(layer.backward(normal(2, 3)), alone[number])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_layer_changes_the_type(dtype: str) -> None:
    shared = Dropout(0.5)
    layers = [
        *(layer for layer, _ in ACTIVATIONS.values()),
        *(Step(), shared, Flatten(), Dense(3, 2, dtype=dtype), BatchNorm(3, dtype=dtype), LayerNorm(3, dtype=dtype)),
    ]
    for layer in layers:
        y = layer.forward(normal(4, 3, dtype=dtype))
        dx = layer.backward(normal(*y.shape, dtype=dtype))
        found = [y, dx, *layer.named("gradients").values(), *layer.named("parameters").values()]
        found += [array for array in layer.buffers.values() if array.ndim]
        assert {str(array.dtype) for array in found} == {dtype}, layer


def test_names_are_dotted_and_arrays_are_loaded_by_them() -> None:
    layer = Sequential(Dense(2, 2), Sequential(Dense(2, 1)))
    arrays = {name: array + 1 for name, array in layer.named("parameters").items()}
    assert list(arrays) == ["0.weight", "0.bias", "1.0.weight", "1.0.bias"]
    kept = layer.named("parameters")["1.0.weight"]
    layer.load(arrays)
    assert kept.tolist() == [[1, 1]]  # in its own memory
    for wrong, message in ((arrays | {"2": arrays["0.bias"]}, "named"), (arrays | {"0.bias": kept}, "shape")):
        with pytest.raises(ValueError, match=message):
            layer.load(wrong)
