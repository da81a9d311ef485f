"""Networks by whose features images are compared: which layers, of which images, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dlexp.errors import ConfigError
from dlexp.models.convnet import simple_cnn
from dlexp.models.generative.features import (
    FeatureNetwork,
    named_features,
    random_features,
    usual_layers,
    vgg19_features,
)


def network(channels: int = 1) -> nn.Sequential:
    """Maps of two sizes, and a head for images of 8 pixels alone."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1)),
        *(nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Linear(6 * 16, 3)),
    )


def test_the_usual_layers_are_the_first_activation_of_each_size_and_more_between() -> None:
    assert usual_layers(network(), torch.rand(1, 1, 8, 8)) == ["1", "3", "6"]
    assert usual_layers(network(), torch.rand(1, 1, 40, 24)) == ["1", "3", "6"]  # the head fails behind them
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    assert usual_layers(plain, torch.rand(1, 1, 8, 8)) == ["0", "1"]
    assert usual_layers(nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.ReLU()), torch.rand(1, 1, 8, 8)) == []


def test_features_are_the_outputs_of_layers_and_no_layer_behind_them_runs() -> None:
    body = network()
    found = FeatureNetwork(body, 1, lambda images: images - 0.5)
    images = torch.rand(2, 1, 20, 12)
    found.find_layers(images)
    first, last = found(images, ["1", "6"])
    assert torch.equal(first, torch.relu(body[0](images - 0.5)))
    assert last.shape == (2, 6, 10, 6)
    assert [one.shape for one in found(images, ["6", "1"])] == [last.shape, first.shape]  # in the order of the names
    assert not any(parameter.requires_grad for parameter in found.parameters())
    found.train()
    assert not body.training


def test_colors_become_brightness_and_gray_becomes_colors() -> None:
    gray = FeatureNetwork(nn.Sequential(nn.Conv2d(1, 1, 1)), 1, lambda images: images, ["0"], ["0"])
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    conv = gray.network[0]  # type: ignore[index]
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    assert gray(red, ["0"])[0].mean().item() == pytest.approx((0.299 * conv.weight + conv.bias).item(), rel=1e-5)
    seen = list[tuple[int, ...]]()
    colored = FeatureNetwork(nn.Sequential(nn.Conv2d(3, 1, 1)), 3, lambda images: seen.append(images.shape) or images)  # type: ignore[func-returns-value]
    colored(torch.rand(2, 1, 4, 4), ["0"])
    assert seen == [(2, 3, 4, 4)]


def test_a_network_without_maps_and_unknown_layers_are_refused() -> None:
    flat = FeatureNetwork(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), 3, lambda images: images)
    with pytest.raises(ConfigError) as refused:
        flat.find_layers(torch.rand(1, 3, 4, 4))
    assert refused.value.problems[0].code == "incompatible-data"
    found = FeatureNetwork(simple_cnn(input_shape=(3, 32, 32), num_outputs=2), 3, lambda images: images)
    name = next(name for name, module in found.network.named_modules() if isinstance(module, nn.Conv2d))
    with pytest.raises(ConfigError) as refused:
        found.check("task.style_layers", [name, f"{name}x"])
    problem = refused.value.problems[0]
    assert (problem.where, problem.given, problem.code) == ("task.style_layers", f"{name}x", "unknown-value")
    assert name in problem.remedy


def test_random_features_are_the_same_in_every_run_and_tell_images_apart() -> None:
    torch.manual_seed(0)
    one = random_features(3)
    torch.manual_seed(1)
    other = named_features("random", 3)
    images = torch.rand(2, 3, 16, 16)
    for a, b in zip(one(images, one.usual_style), other(images, other.usual_style), strict=True):
        assert torch.equal(a, b)
        assert not torch.allclose(a[0], a[1])
        assert 0.05 < a.std() < 5  # neither faded nor grown by depth
    assert set(one.usual_content) < set(one.usual_style)


def test_vgg19_comes_from_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.models as zoo

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ConfigError) as refused:
        vgg19_features()
    assert refused.value.problems[0].code == "not-found" and "task.features=random" in refused.value.problems[0].remedy
    monkeypatch.setitem(zoo.vgg.cfgs, "E", [4, 4, "M", 6, 6, "M", 8, 8, 8, 8, "M", 8, 8, 8, 8, "M", 8])
    made = zoo.vgg.make_layers(zoo.vgg.cfgs["E"])
    state = {f"features.{name}": value for name, value in made.state_dict().items()} | {
        "classifier.0.bias": torch.ones(2)
    }
    file = tmp_path / "checkpoints" / zoo.VGG19_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir()
    torch.save(state, file)
    found = vgg19_features()
    images = torch.rand(1, 3, 32, 32)
    first, *_, last = found(images, found.usual_style)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert torch.allclose(first, torch.relu(made[0]((images - mean) / deviation)))
    assert last.shape == (1, 8, 2, 2)
    torch.save({name: value for name, value in state.items() if name != "features.0.bias"}, file)
    with pytest.raises(ConfigError) as refused:
        vgg19_features()
    assert refused.value.problems[0].code == "incompatible-weights"
    file.write_bytes(b"no weights")
    with pytest.raises(ConfigError) as refused:
        vgg19_features()
    assert refused.value.problems[0].code == "corrupted"
