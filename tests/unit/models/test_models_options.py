from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from dlexp.models.classic import alexnet, lenet5, vgg
from dlexp.models.convnet import block_cnn, simple_cnn
from dlexp.models.initialization import INITS, described, gain, initialized, resolve_scheme
from dlexp.models.large_cnns import convnext_tiny, densenet121, efficientnet_b0, mobilenet_v2, mobilenet_v3
from dlexp.models.layers import ACTIVATIONS, SqueezeExcitation, activation
from dlexp.models.mlp import mlp, perceptron
from dlexp.models.mobilenet import depthwise_separable, mobilenet_v1
from dlexp.models.resnet import resnet, resnet18


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_vgg_holds_the_tensors_of_torchvision(depth: int, norm: str) -> None:
    theirs = getattr(torchvision.models, f"vgg{depth}" + ("_bn" if norm == "batch" else ""))
    with torch.device("meta"):
        assert shapes(vgg(input_shape=(3, 224, 224), num_outputs=1000, depth=depth, norm=norm)) == shapes(theirs())


def test_alexnet_is_that_of_torchvision() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.alexnet()
        ours = alexnet(input_shape=(3, 224, 224), num_outputs=1000)
    assert shapes(ours) == shapes(theirs)
    settings: dict[type, list[tuple[bool, str]]] = {type(m): [] for m in (*theirs.modules(), *ours.modules())}
    for network in (theirs, ours):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.MaxPool2d):
                settings[type(module)].append((network is ours, module.extra_repr()))
    for found in settings.values():
        assert [text for mine, text in found if mine] == [text for mine, text in found if not mine]


@pytest.mark.parametrize(("size", "flat"), [(28, 400), (32, 400), (8, 64), (1, 16)])
@pytest.mark.parametrize("batch", [1, 25, 7])
def test_lenet_keeps_the_batch_whatever_the_image(size: int, flat: int, batch: int) -> None:
    network = lenet5(input_shape=(1, size, size), num_outputs=10)
    assert network(torch.randn(batch, 1, size, size)).shape == (batch, 10)
    assert next(m for m in network if isinstance(m, nn.Linear)).in_features == flat


def test_the_poolings_of_lenet() -> None:
    kinds = {
        pool: [type(m) for m in lenet5(input_shape=(1, 32, 32), num_outputs=2, pool=pool)]
        for pool in ("max", "average")
    }
    assert nn.MaxPool2d in kinds["max"] and nn.AvgPool2d not in kinds["max"]
    assert nn.AvgPool2d in kinds["average"] and nn.MaxPool2d not in kinds["average"]


@pytest.mark.parametrize("size", [1, 2, 8, 13, 32])
@pytest.mark.parametrize("make", [alexnet, vgg, block_cnn, mobilenet_v1, mobilenet_v2, efficientnet_b0])
def test_small_images_of_any_size_pass(make: Any, size: int) -> None:
    network = make(input_shape=(1, size, size), num_outputs=3).eval()
    assert network(torch.randn(2, 1, size, size)).shape == (2, 3)


@pytest.mark.parametrize(("make", "smallest"), [(densenet121, 8), (convnext_tiny, 8)])
def test_an_image_that_is_too_small_is_refused_with_the_smallest(make: Any, smallest: int) -> None:
    with pytest.raises(ValueError, match=f"{smallest}x{smallest} pixels"):
        make(input_shape=(1, 7, 9), num_outputs=3)


def test_alexnet_with_the_large_stem_refuses_what_would_vanish() -> None:
    with pytest.raises(ValueError, match="63x63 pixels"):
        alexnet(input_shape=(3, 62, 62), num_outputs=3, stem="imagenet")
    network = alexnet(input_shape=(3, 63, 63), num_outputs=3, stem="imagenet", head=8)
    assert network(torch.randn(1, 3, 63, 63)).shape == (1, 3)


def test_the_gate_of_squeeze_and_excitation() -> None:
    block = SqueezeExcitation(4, reduction=16, bias=False)  # 4 // 16 would leave no unit at all
    down, up = (m for m in block.gate if isinstance(m, nn.Conv2d))
    assert down.weight.shape == (1, 4, 1, 1)
    x = torch.randn(2, 4, 3, 3)
    hidden = (down.weight[:, :, 0, 0] @ x.mean((2, 3)).T).relu()
    gate = (up.weight[:, :, 0, 0] @ hidden).sigmoid().T
    torch.testing.assert_close(block(x), x * gate[:, :, None, None])


def test_a_depthwise_separable_convolution_has_few_parameters() -> None:
    block = depthwise_separable(64, 128, norm="none")
    assert sum(p.numel() for p in block.parameters()) == 8_960
    with pytest.raises(ValueError, match="kernel=4"):
        mobilenet_v1(input_shape=(1, 8, 8), num_outputs=2, kernel=4)


@pytest.mark.parametrize(
    ("place", "order"), [("before", [nn.BatchNorm1d, nn.Tanh]), ("after", [nn.Tanh, nn.BatchNorm1d])]
)
def test_the_place_of_a_normalization(place: str, order: list[type]) -> None:
    network = mlp(input_shape=(3,), num_outputs=1, hidden=(4,), activation="tanh", norm="batch", norm_place=place)
    assert [type(layer) for layer in network][2:4] == order


def test_alpha_dropout_keeps_company_with_selu_alone() -> None:
    with pytest.raises(ValueError, match=r"dropout_kind='alpha'.* activation='selu'.* 'relu'"):
        mlp(input_shape=(3,), num_outputs=1, dropout_kind="alpha")
    with pytest.raises(ValueError, match=r"dropout_kind='alpha'.* norm='none'.* 'batch'"):
        block_cnn(input_shape=(1, 8, 8), num_outputs=1, dropout_kind="alpha", activation="selu", norm="batch")
    with pytest.raises(ValueError, match=r"dropout_kind='channel'.* unit or alpha"):
        mlp(input_shape=(3,), num_outputs=1, dropout_kind="channel")


def test_selu_with_alpha_dropout_and_its_init_stays_standardized_through_twenty_layers() -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"activation": "selu", "dropout": 0.05, "dropout_kind": "alpha", "init": "auto"}
    network = mlp(input_shape=(256,), num_outputs=1, hidden=[256] * 20, **options)
    out = network[:-1](torch.randn(512, 256)).detach()
    assert abs(float(out.mean())) < 0.15
    assert 0.8 < float(out.std()) < 1.2


@pytest.mark.parametrize("name", ["relu", "leaky_relu_0.2", "gelu", "tanh", "selu"])
def test_auto_keeps_the_scale_through_ten_layers_where_the_default_loses_it(name: str) -> None:
    def spread(init: str) -> float:
        torch.manual_seed(0)
        network = mlp(input_shape=(256,), num_outputs=1, hidden=[256] * 10, activation=name, init=init)
        return float(network[:-1](torch.randn(256, 256)).detach().square().mean().sqrt())

    assert 0.1 < spread("auto") < 3
    assert spread("default") < 0.2 * spread("auto")


@pytest.mark.parametrize("name", INITS)
def test_an_initialization_has_the_deviation_of_its_formula(name: str) -> None:
    torch.manual_seed(0)
    fan_in, fan_out = 400, 300
    layer = initialized(nn.Sequential(nn.Linear(fan_in, fan_out), nn.Linear(fan_out, 2)), name, "relu")[0]
    kaiming, xavier = sqrt(2 / fan_in), sqrt(2) * sqrt(2 / (fan_in + fan_out))
    expected = {
        "auto": kaiming, "kaiming_uniform": kaiming, "kaiming_normal": kaiming, "xavier_uniform": xavier,
        "xavier_normal": xavier, "lecun_normal": sqrt(1 / fan_in), "trunc_normal": 0.02 * 0.8796, "normal": 0.01,
        "default": sqrt(1 / (3 * fan_in)), "orthogonal": sqrt(2 / fan_in),
    }  # fmt: skip
    assert isinstance(layer, nn.Linear)
    assert float(layer.weight.detach().std()) == pytest.approx(expected[name], rel=0.02)
    assert (layer.bias == 0).all() == (name != "default")
    if name == "orthogonal":
        torch.testing.assert_close(layer.weight @ layer.weight.T, 2 * torch.eye(fan_out), atol=1e-4, rtol=0)


def test_auto_says_why() -> None:
    scheme, reason = resolve_scheme("auto", "relu", "batch")
    assert scheme == "default" and "norm=batch" in reason
    assert resolve_scheme("auto", "selu")[0] == "lecun_normal"
    assert resolve_scheme("auto", "tanh")[0] == "xavier_uniform"
    assert resolve_scheme("auto", "mish")[0] == "kaiming_normal"
    assert resolve_scheme("orthogonal", "relu", "batch")[0] == "orthogonal"
    description = described({"init": "auto", "activation": "relu", "norm": "none"})
    assert description.startswith("kaiming_normal (") and "relu" in description
    assert described({"dropout": 0.1}) == ""
    with pytest.raises(ValueError, match=r"init='zero'.* auto, default"):
        resolve_scheme("zero")
    assert set(map(gain, ACTIVATIONS)) <= {
        1.0,
        sqrt(2),
        5 / 3,
        *(sqrt(2 / (1 + a * a)) for a in (0.01, 0.1, 0.2, 0.25)),
    }


def test_a_resnet_without_normalization_begins_with_its_shortcuts_alone() -> None:
    torch.manual_seed(0)
    network = resnet(input_shape=(3, 16, 16), num_outputs=4, norm="none")
    block = network.get_submodule("layer1.0")
    x = torch.rand(2, 64, 4, 4)
    torch.testing.assert_close(block(x), x)


def test_a_resnet_of_another_activation_has_no_relu_left() -> None:
    network = resnet(input_shape=(3, 16, 16), num_outputs=4, activation="gelu")
    kinds = [type(m) for m in network.modules()]
    assert nn.ReLU not in kinds
    assert kinds.count(nn.GELU) == 1 + 8


def test_resnet18_of_older_runs_is_the_same_network() -> None:
    torch.manual_seed(3)
    old = resnet18(input_shape=(1, 8, 8), num_outputs=10).state_dict()
    torch.manual_seed(3)
    new = resnet(input_shape=(1, 8, 8), num_outputs=10, depth=18).state_dict()
    assert old.keys() == new.keys()
    assert all(torch.equal(value, new[name]) for name, value in old.items())


@pytest.mark.parametrize("make", [resnet18, mobilenet_v2])
def test_what_a_hook_sees_is_what_the_layer_put_out(make: Any) -> None:
    network = make(input_shape=(1, 16, 16), num_outputs=3).eval()
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for name, module in network.named_modules():
        # torchvision adds a residual branch to its input in place, so the last layer of a branch is left out
        if isinstance(module, nn.BatchNorm2d) and not name.endswith("bn2"):
            module.register_forward_hook(lambda _m, _i, out: seen.append((out, out.clone())))
    network(torch.randn(2, 1, 16, 16))
    assert len(seen) > 8
    assert all(torch.equal(now, then) for now, then in seen)


@pytest.mark.parametrize(
    ("make", "options"),
    [(simple_cnn, {"channels": (4, 4, 4, 4, 4)}), (block_cnn, {"channels": (4, 4, 4, 4, 4)}), (vgg, {}), (resnet, {})],
)
def test_instance_normalization_of_a_single_pixel_is_refused(make: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="norm='instance'"):
        make(input_shape=(1, 8, 8), num_outputs=3, norm="instance", **options)
    make(input_shape=(1, 40, 40), num_outputs=3, norm="instance", **options).train()(torch.randn(2, 1, 40, 40))


def test_running_means_of_mobilenet_v3_follow_within_a_short_run() -> None:
    network = mobilenet_v3(input_shape=(1, 8, 8), num_outputs=3)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) > 30
    assert {m.momentum for m in norms} == {0.1}  # torchvision has 0.01: after 80 updates nearly half is the beginning


def test_a_perceptron_is_one_linear_map_of_the_flat_sample() -> None:
    network = perceptron(input_shape=(1, 2, 2), num_outputs=1)
    assert sum(p.numel() for p in network.parameters()) == 5
    with pytest.raises(ValueError, match=r"depth=20.* 18, 34, 50, 101, 152"):
        resnet(input_shape=(3, 16, 16), num_outputs=4, depth=20)
    assert isinstance(activation("identity"), nn.Identity)
