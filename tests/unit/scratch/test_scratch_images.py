"""Convolution and pooling in NumPy: their loops, torch, numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scratch_checks import assert_float32, assert_like_torch, assert_numerical, random, with_random_parameters

from dlexp.scratch.images.convolution import Conv2d, convolution_by_loops
from dlexp.scratch.images.normalization import MapNorm
from dlexp.scratch.images.pooling import AveragePool2d, MaxPool2d
from dlexp.scratch.layer import Layer

few = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv2d, tuple[int, ...]]:
    """Shapes, strides and paddings that fit together, odd ones too."""
    kernel = draw(st.integers(1, 4))
    padding = draw(st.one_of(st.integers(0, 2), st.sampled_from(["valid", "same"])))
    border = padding if isinstance(padding, int) else 0
    least = max(1, kernel - 2 * border) if padding != "same" else 1
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 3)), *(draw(st.integers(least, 7)) for _ in range(2)))
    layer = Conv2d(shape[1], draw(st.integers(1, 4)), kernel, stride=draw(st.integers(1, 3)), padding=padding)
    with_random_parameters(layer)
    return layer, shape


@few
@given(convolutions())
def test_a_convolution_is_its_loops(case: tuple[Conv2d, tuple[int, ...]]) -> None:
    layer, shape = case
    x = random(shape)
    weight, bias = layer.parameters.values()
    expected = convolution_by_loops(x, weight, bias, layer.stride, layer.padding)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-12)
    if layer.padding == "same":
        assert expected.shape[2:] == tuple(-(-length // layer.stride) for length in shape[2:])
    assert layer.multiply_adds == expected.size * layer.parameters["weight"][0].size


@few
@given(convolutions())
def test_a_convolution_is_that_of_torch(case: tuple[Conv2d, tuple[int, ...]]) -> None:
    layer, shape = case
    if layer.padding == "same" and layer.stride > 1:  # torch refuses it; the loops above say what it is
        layer.padding = 0 if min(shape[2:]) >= layer.kernel else layer.kernel
    padding = layer.padding
    assert_like_torch(layer, lambda x, own: F.conv2d(x, *own.values(), layer.stride, padding), random(shape))  # type: ignore[call-overload]


@settings(max_examples=8, deadline=None, derandomize=True)
@given(convolutions())
def test_gradients_of_a_convolution_are_the_numerical_ones(case: tuple[Conv2d, tuple[int, ...]]) -> None:
    layer, shape = case
    assert_numerical(layer, random(shape))
    assert_float32(layer, random(shape))


@few
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(3, 8), st.integers(3, 8), st.booleans())
def test_pooling_is_that_of_torch(size: int, stride: int, samples: int, height: int, width: int, tied: bool) -> None:
    x = random((samples, 2, height, width))
    if tied:
        x = x.round()  # of equal numbers the first counts
    largest, mean = MaxPool2d(size, stride), AveragePool2d(size, stride)
    assert_like_torch(largest, lambda given, own: F.max_pool2d(given, size, stride), x)
    assert_like_torch(mean, lambda given, own: F.avg_pool2d(given, size, stride), x)


@pytest.mark.parametrize("layer", [MaxPool2d(2), MaxPool2d(3, 1), AveragePool2d(2), AveragePool2d(3, 2)])
def test_gradients_of_pooling_are_the_numerical_ones(layer: Layer) -> None:
    assert_numerical(layer, random((3, 2, 7, 6)), entries=40)
    assert_float32(layer, random((3, 2, 7, 6)))


@few
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_normalization_of_maps_is_that_of_torch(samples: int, channels: int, height: int, width: int) -> None:
    if channels * height * width == 1:
        width += 1  # one number has no variance
    layer = with_random_parameters(MapNorm(channels))
    x = random((samples, channels, height, width))
    assert_like_torch(layer, lambda x, own: F.group_norm(x, 1, own["weight"], own["bias"]), x)


def test_gradients_of_normalization_are_the_numerical_ones() -> None:
    layer = with_random_parameters(MapNorm(3))
    assert_numerical(layer, random((4, 3, 3, 2)))
    assert_float32(layer, random((4, 3, 3, 2)))


def test_windows_do_not_overlap_unless_asked_to() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    assert MaxPool2d(2).forward(x).tolist() == [[[[5, 7], [13, 15]]]]
    assert AveragePool2d(2).forward(x).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert MaxPool2d(2, 1).forward(x).shape == (1, 1, 3, 3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        MaxPool2d(3).forward(random((1, 1, 2, 5)))
    with pytest.raises(ValueError, match="valid, same"):
        Conv2d(1, 1, 3, padding="full").forward(random((1, 1, 5, 5)))
    with pytest.raises(ValueError, match="valid, same"):
        Conv2d(1, 1, 3, padding=-1).forward(random((1, 1, 5, 5)))
    with pytest.raises(ValueError, match="of 2 channels"):
        Conv2d(2, 1, 3).forward(random((1, 1, 5, 5)))


def test_weights_are_drawn_as_by_torch() -> None:
    drawn = Conv2d(3, 400, 5, rng=np.random.default_rng(0)).parameters["weight"]
    bound = 75**-0.5
    assert drawn.dtype == np.float32 and np.abs(drawn).max() <= bound
    assert drawn.std() == pytest.approx(bound / 3**0.5, rel=0.02)
