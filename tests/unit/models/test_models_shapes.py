from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dlexp.models.convnet import simple_cnn
from dlexp.models.layers import ACTIVATIONS, activation, norm_1d, norm_2d
from dlexp.models.mlp import mlp
from dlexp.models.resnet import resnet18

Model = Callable[..., nn.Module]
IMAGES = [(1, 8, 8), (3, 32, 32), (2, 7, 13), (1, 1, 1), (4, 5, 1)]
CASES: list[tuple[Model, tuple[int, ...]]] = [
    *((mlp, shape) for shape in [(4,), (1,), *IMAGES]),
    *((simple_cnn, shape) for shape in IMAGES),
    *((resnet18, shape) for shape in [(1, 8, 8), (3, 33, 19), (1, 1, 1)]),
]


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("model", "shape"), CASES)
def test_outputs_are_one_row_of_numbers_for_each_sample(model: Model, shape: tuple[int, ...]) -> None:
    network = model(input_shape=shape, num_outputs=5)
    for batch in (1, 3):
        assert network.eval()(torch.randn(batch, *shape)).shape == (batch, 5)
    assert network.train()(torch.randn(3, *shape)).shape == (3, 5)


@pytest.mark.parametrize("model", [mlp, simple_cnn, resnet18])
def test_gradients_reach_every_parameter(model: Model) -> None:
    torch.manual_seed(0)
    network = model(input_shape=(2, 9, 9), num_outputs=4)
    network(torch.randn(8, 2, 9, 9)).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize(
    ("model", "shape", "outputs", "options", "parameters"),
    [
        (simple_cnn, (3, 32, 32), 10, {"norm": "none"}, 1_147_466),
        (resnet18, (3, 32, 32), 10, {}, 11_173_962),
        (resnet18, (3, 32, 32), 10, {"stem": "small"}, 11_173_962),
        (resnet18, (3, 224, 224), 1000, {}, 11_689_512),
        (resnet18, (3, 224, 224), 1000, {"stem": "imagenet"}, 11_689_512),
        (mlp, (1, 8, 8), 10, {"hidden": (20, 30), "norm": "batch"}, 64 * 20 + 20 + 40 + 20 * 30 + 30 + 60 + 310),
    ],
)
def test_parameter_counts_are_the_published_ones(
    model: Model, shape: tuple[int, ...], outputs: int, options: dict[str, Any], parameters: int
) -> None:
    assert count(model(input_shape=shape, num_outputs=outputs, **options)) == parameters


@pytest.mark.parametrize("model", [simple_cnn, resnet18])
def test_a_table_is_refused_by_networks_for_images(model: Model) -> None:
    with pytest.raises(ValueError, match=r"\(channels, height, width\).* \(4,\)"):
        model(input_shape=(4,), num_outputs=3)


def test_a_stem_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stem='big'.* auto, small, imagenet"):
        resnet18(input_shape=(3, 32, 32), num_outputs=2, stem="big")


@pytest.mark.parametrize(("size", "kernel"), [(95, 3), (96, 7)])
def test_the_stem_follows_the_smaller_side(size: int, kernel: int) -> None:
    first = resnet18(input_shape=(1, 200, size), num_outputs=2).conv1
    assert isinstance(first, nn.Conv2d)
    assert (first.kernel_size, first.in_channels) == ((kernel, kernel), 1)


def test_no_hidden_layer_is_a_linear_model() -> None:
    network = mlp(input_shape=(2, 3), num_outputs=4, hidden=(), dropout=0.5)
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear]
    assert count(network) == 6 * 4 + 4


def test_a_hidden_layer_is_linear_norm_activation_dropout() -> None:
    network = mlp(input_shape=(3,), num_outputs=1, hidden=(5,), activation="tanh", norm="layer", dropout=0.25)
    layers = [type(layer) for layer in network]
    assert layers == [nn.Flatten, nn.Linear, nn.LayerNorm, nn.Tanh, nn.Dropout, nn.Linear]
    assert network[4].p == 0.25
    plain = mlp(input_shape=(3,), num_outputs=1, hidden=(5,))
    assert [type(layer) for layer in plain] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


def test_a_block_is_convolution_norm_relu_pooling() -> None:
    network = simple_cnn(input_shape=(1, 4, 4), num_outputs=2, channels=(3, 3, 3), fc=7, norm="batch", dropout=0.0)
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    head = [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    # 4 -> 2 -> 1, and one pixel is not pooled further
    assert [type(layer) for layer in network] == [*block, nn.MaxPool2d, *block, nn.MaxPool2d, *block, *head]


def test_activations_have_their_names() -> None:
    x = torch.linspace(-2, 2, 9)
    expected = {
        "identity": x,
        "step": (x > 0).float(),
        "relu": x.clamp_min(0),
        "relu6": x.clamp(0, 6),
        "leaky_relu_0.1": torch.where(x > 0, x, 0.1 * x),
        "leaky_relu_0.2": torch.where(x > 0, x, 0.2 * x),
        "prelu": torch.where(x > 0, x, 0.25 * x),
        "gelu_tanh": 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
        "mish": x * torch.tanh(torch.log1p(x.exp())),
        "hardswish": x * (x + 3).clamp(0, 6) / 6,
        "softplus": torch.log1p(x.exp()),
        "leaky_relu": torch.where(x > 0, x, 0.01 * x),
        "elu": torch.where(x > 0, x, x.exp() - 1),
        "selu": 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
        "gelu": x * 0.5 * (1 + torch.erf(x / 2**0.5)),
        "silu": x * x.sigmoid(),
        "tanh": x.tanh(),
        "sigmoid": 1 / (1 + (-x).exp()),
    }
    assert ACTIVATIONS.keys() == expected.keys() | {"softmax", "log_softmax"}
    for name, values in expected.items():
        torch.testing.assert_close(activation(name)(x), values)
    shares = x.exp() / x.exp().sum()
    torch.testing.assert_close(activation("softmax")(x[None])[0], shares)
    torch.testing.assert_close(activation("log_softmax")(x[None])[0], shares.log())


def test_a_step_learns_straight_through_near_the_threshold() -> None:
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], requires_grad=True)
    activation("step")(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 0]


def test_layer_norm_of_images_is_over_channels_and_pixels_of_each_sample() -> None:
    (norm,) = norm_2d("layer", 3)
    found = norm(torch.randn(4, 3, 5, 5) * 7 + 2).flatten(1)
    torch.testing.assert_close(found.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(1, correction=0), torch.ones(4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("make", [norm_1d, norm_2d])
def test_norms_have_names(make: Callable[[str, int], list[nn.Module]]) -> None:
    assert make("none", 3) == []
    assert all(len(make(name, 3)) == 1 for name in ("batch", "layer", "group", "rms"))
    with pytest.raises(ValueError, match=r"norm='weight'.* none, batch, layer"):
        make("weight", 3)


def test_norms_of_maps_are_those_of_the_formula() -> None:
    x = torch.randn(4, 12, 3, 5, dtype=torch.float64) * 3 + 1
    layers = {name: norm_2d(name, 12)[0].double() for name in ("batch", "layer", "group", "instance", "rms")}
    axes = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}
    for name, over in axes.items():
        expected = (x - x.mean(over, keepdim=True)) / (x.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(layers[name](x), expected)
    grouped = x.view(4, 4, 45)  # twelve channels make four groups: 8 does not divide them
    expected = (grouped - grouped.mean(2, keepdim=True)) / (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layers["group"](x), expected.view_as(x))
    torch.testing.assert_close(layers["rms"](x), x / (x.square().mean(1, keepdim=True)).sqrt())
    rms = norm_1d("rms", 12)[0].double()
    torch.testing.assert_close(rms(x[:, :, 0, 0]), layers["rms"](x)[:, :, 0, 0])


def test_features_have_no_pixels_to_normalize_over() -> None:
    with pytest.raises(ValueError, match="norm='instance'"):
        mlp(input_shape=(3,), num_outputs=1, norm="instance")


def test_an_activation_of_another_name_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match=r"activation='swish'.* identity, step, sigmoid"):
        mlp(input_shape=(3,), num_outputs=1, activation="swish")


def test_dropout_acts_while_training_alone() -> None:
    network = mlp(input_shape=(8,), num_outputs=2, dropout=0.5)
    x = torch.randn(4, 8)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
