from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from refusals import refused
from torch import nn

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import build
from dlexp.errors import ConfigError
from dlexp.models import zoo


@pytest.mark.parametrize(("name", "side"), [("mnasnet0_5", 32), ("squeezenet1_1", 40), ("regnet_y_400mf", 32)])
def test_a_network_of_torchvision_fits_channels_and_classes(name: str, side: int) -> None:
    network = zoo.torchvision(input_shape=(2, side, side), num_outputs=7, name=name)
    assert network.eval()(torch.randn(3, 2, side, side)).shape == (3, 7)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_side_outputs_have_one(name: str) -> None:
    with torch.device("meta"):
        network = zoo.torchvision(input_shape=(3, 299, 299), num_outputs=7, name=name)
        assert network.train()(torch.randn(2, 3, 299, 299)).shape == (2, 7)


def test_images_are_scaled_for_networks_of_one_size() -> None:
    with torch.device("meta"):
        network = zoo.torchvision(input_shape=(1, 8, 8), num_outputs=7, name="vit_b_32", resize=224)
        assert network(torch.randn(2, 1, 8, 8)).shape == (2, 7)


def test_a_name_that_torchvision_has_not() -> None:
    with pytest.raises(ConfigError) as caught:
        zoo.torchvision(input_shape=(3, 32, 32), num_outputs=2, name="resnet81")
    refused(caught.value, "unknown-value", "model.name", "model.name=resnet18")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of torch.hub's, and no network."""

    def unreachable(url: str, *_rest: Any, **_options: Any) -> None:
        raise OSError(f"no route to {url.split('/')[2]}")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    return tmp_path / "hub" / "checkpoints"


def test_weights_that_are_nowhere_are_named_with_their_place(hub: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        zoo.torchvision(input_shape=(3, 32, 32), num_outputs=2, name="squeezenet1_1", pretrained=True)
    refused(caught.value, "not-found", "model.pretrained", "https://")
    refused(caught.value, "not-found", "model.pretrained", "TORCH_HOME")
    assert f"{hub}/squeezenet1_1-b8a52dc0.pth" in str(caught.value)
    assert "no route to" in str(caught.value)  # the reason of the system


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small"])
def test_weights_in_the_folder_are_read_and_the_head_is_new(name: str, hub: Path) -> None:
    theirs = getattr(torchvision.models, name)()
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    hub.mkdir(parents=True)
    torch.save(theirs.state_dict(), hub / url.rpartition("/")[2])
    color = zoo.torchvision(input_shape=(3, 64, 64), num_outputs=7, name=name, pretrained=True).state_dict()
    differing = [n for n, value in theirs.state_dict().items() if value.shape != color[n].shape]
    assert len(differing) == 2  # weight and bias of the last layer
    assert all(torch.equal(v, color[n]) for n, v in theirs.state_dict().items() if n not in differing)
    gray = zoo.torchvision(input_shape=(1, 64, 64), num_outputs=7, name=name, pretrained=True).eval()
    first = next(n for n, m in gray.named_modules() if isinstance(m, nn.Conv2d))
    x = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(
        gray.get_submodule(first)(x), theirs.get_submodule(first)(x.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
    )


def test_a_damaged_file_of_weights_is_named(hub: Path) -> None:
    hub.mkdir(parents=True)
    (hub / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=r"squeezenet1_1-b8a52dc0\.pth") as caught:
        zoo.torchvision(input_shape=(3, 64, 64), num_outputs=2, name="squeezenet1_1", pretrained=True)
    refused(caught.value, "corrupted", "model.pretrained", "https://")


class FakeTimm(ModuleType):
    """Stands in for timm, which is no dependency: the four functions that are called, with timm's signatures."""

    def __init__(self) -> None:
        super().__init__("timm")
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def list_models(self) -> list[str]:
        return ["resnet18", "resnetv2_50"]

    def is_model(self, name: str) -> bool:
        return name in self.list_models()

    def get_pretrained_cfg(self, name: str) -> Any:
        return SimpleNamespace(hf_hub_id=f"timm/{name}.a1_in1k", url="")

    def create_model(self, name: str, *, pretrained: bool, num_classes: int, in_chans: int) -> nn.Module:
        self.calls.append((name, {"pretrained": pretrained, "num_classes": num_classes, "in_chans": in_chans}))
        if pretrained:
            raise OSError("offline")
        return nn.Sequential(
            nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
        )


def through_the_configuration(*words: str) -> nn.Module:
    config = load(["model=timm", *words], Catalog())
    network: nn.Module = build(config.model, {"input_shape": (1, 8, 8), "num_outputs": 5}, ())
    return network


def test_timm_builds_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTimm()
    monkeypatch.setitem(sys.modules, "timm", fake)
    network = through_the_configuration("model.name=resnetv2_50", "model.resize=16")
    assert fake.calls == [("resnetv2_50", {"pretrained": False, "num_classes": 5, "in_chans": 1})]
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 5)
    with pytest.raises(ConfigError) as caught:
        through_the_configuration("model.name=resnet81")
    refused(caught.value, "unknown-value", "model.name", "model.name=resnet18")


def test_weights_that_timm_cannot_get_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", FakeTimm())
    with pytest.raises(ConfigError) as caught:
        through_the_configuration("model.pretrained=true")
    refused(caught.value, "not-found", "model.pretrained", "HF_HOME")
    assert "timm/resnet18.a1_in1k" in str(caught.value)


def test_without_timm_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError) as caught:
        through_the_configuration()
    refused(caught.value, "missing-package", "model", "pip install 'dlexp[timm]'")
