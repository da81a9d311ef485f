"""Every model option: its published size, and that every key changes something; the lists come from conf/."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml
from torch import nn

from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import resolve

CATALOG = Catalog()
# timm is no dependency; tests/unit/models/test_models_zoo.py has a stand-in for it.
MODELS = tuple(
    name
    for name, option in CATALOG.options("model").items()
    if name != "timm"
    if "_inputs_: [tokens, series]" not in option.path.read_text()  # tests/contract/sequences
    and "dlexp.models.transformer." not in option.path.read_text()  # tests/unit/models/transformer
    and "dlexp.models.generative." not in option.path.read_text()  # tests/unit/models/generative
    and "dlexp.models.dual_encoder." not in option.path.read_text()  # tests/unit/tasks/test_tasks_contrastive.py
)
# Parameters at (3, 224, 224) and 1000 classes: torchvision's tables; timm's for se_resnet; the paper's own program for
# mobilenet_v1.
PUBLISHED = {
    "alexnet": 61_100_840, "convnext_tiny": 28_589_128, "densenet121": 7_978_856, "efficientnet_b0": 5_288_548,
    "googlenet": 6_624_904, "mobilenet_v1": 4_231_976, "mobilenet_v2": 3_504_872, "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_small": 2_542_856, "resnet101": 44_549_160, "resnet152": 60_192_808, "resnet18": 11_689_512,
    "resnet34": 21_797_672, "resnet50": 25_557_032, "se_resnet18": 11_778_592, "se_resnet50": 28_088_024,
    "torchvision": 2_278_604, "vgg11": 132_868_840, "vgg13": 133_053_736, "vgg16": 138_365_992, "vgg19": 143_678_248,
}  # fmt: skip
# Those of the documents, at the sizes that they give; convolutions in front of a normalization have no bias here (896).
OF_DOCUMENTS: list[tuple[str, tuple[int, ...], int, dict[str, Any], int]] = [
    ("vgg16", (3, 224, 224), 1000, {"norm": "none"}, 138_357_544),
    ("resnet18", (3, 32, 32), 10, {}, 11_173_962),
    ("resnet34", (3, 32, 32), 10, {}, 21_282_122),
    ("lenet5", (1, 32, 32), 10, {}, 61_706),
    ("simple_cnn", (3, 32, 32), 10, {"norm": "none"}, 1_147_466),
    ("block_cnn", (3, 32, 32), 10, {}, 1_283_914 - 896),
    ("modern_cnn", (3, 32, 32), 10, {}, 1_181_386 - 896),
    ("mlp", (784,), 10, {"hidden": [128, 64], "norm": "none"}, 109_386),
    ("mlp", (10,), 2, {"hidden": [64, 32], "norm": "none"}, 2_850),
    ("simple_nn", (20,), 1, {"hidden": [64, 32, 16]}, 4_193),
    ("mlp_dropout", (784,), 10, {}, 235_146),
    ("mlp_batch_norm", (784,), 10, {}, 235_914),
]
# Another value for each key, and what a key needs beside it.
OTHER: dict[str, Any] = {
    "hidden": [24], "activation": "tanh", "norm": "layer", "norm_place": "after", "dropout": 0.4,
    "dropout_kind": "alpha", "conv_dropout": 0.4, "pool_dropout": 0.4, "drop_path": 0.7, "attention_dropout": 0.6,
    "init": "orthogonal", "channels": [8, 12], "convs": 3, "fc": 20, "head": 32, "pool": "average",
    "se_reduction": 4, "stem": "imagenet", "width_factor": 0.5, "kernel": 5,
    "name": "mobilenet_v3_small", "resize": 64, "embedding": 7, "crosses": False, "blocks": 2,
    "heads": 4, "ffn_factor": 2.0, "token": 32, "steps": 2, "state": 32,
}  # fmt: skip
BESIDE = {"dropout_kind": {"activation": "selu", "norm": "none"}}
UNTESTED = {"pretrained": "needs weights: tests/unit/models/test_models_zoo.py"}


def own_values(option: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(CATALOG.options("model")[option].path.read_text(encoding="utf-8"))
    return values


def built(option: str, shape: tuple[int, ...], outputs: int, **changed: Any) -> nn.Module:
    values = own_values(option)
    target = resolve(values["_target_"], ())
    arguments = {key: value for key, value in values.items() if not key.startswith("_")} | changed
    network = target(input_shape=shape, num_outputs=outputs, **arguments)
    assert isinstance(network, nn.Module)
    return network


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_every_network_for_large_images_has_its_published_size_here() -> None:
    with_stem = {name for name in MODELS if "stem" in own_values(name)}
    assert with_stem == set(PUBLISHED) - {"torchvision"}
    assert len(PUBLISHED) == 21
    keys = {key for name in MODELS for key in CATALOG.keys("model", name)}
    assert keys == {*OTHER, *UNTESTED, "depth", "variant"}


@pytest.mark.parametrize("option", PUBLISHED)
def test_the_size_is_the_published_one(option: str) -> None:
    with torch.device("meta"):
        assert size(built(option, (3, 224, 224), 1000)) == PUBLISHED[option]


@pytest.mark.parametrize(("option", "shape", "outputs", "changed", "expected"), OF_DOCUMENTS)
def test_the_size_is_that_of_the_documents(
    option: str, shape: tuple[int, ...], outputs: int, changed: dict[str, Any], expected: int
) -> None:
    with torch.device("meta"):
        assert size(built(option, shape, outputs, **changed)) == expected


def answers(network: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """What comes out while training and after."""
    found = []
    for mode in (True, False):
        torch.manual_seed(1)
        found.append(network.train(mode)(inputs).detach())
    return found


# One option for each function that builds models; the others differ from it in values alone.
BUILDERS = {own_values(option)["_target_"]: option for option in reversed(MODELS)}
KEYS = [
    (option, key)
    for option in BUILDERS.values()
    for key in own_values(option)
    if not key.startswith("_") and key not in UNTESTED
]


def test_every_key_of_every_builder_is_looked_at() -> None:
    assert len(BUILDERS) == 22
    assert len(KEYS) == 108
    targets = {own_values(option)["_target_"] for option in MODELS}
    assert targets == set(BUILDERS)
    for option in MODELS:
        arguments = set(own_values(option)) - {"_target_", "_inputs_", "_search_"}
        assert arguments == {
            k for k in own_values(BUILDERS[own_values(option)["_target_"]]) if not k.startswith("_")
        }, option


@pytest.mark.parametrize(("option", "key"), KEYS)
def test_every_key_changes_something(option: str, key: str) -> None:
    tabular = own_values(option).get("_inputs_") == "tabular"
    shape = (7,) if tabular else (1, 12, 12)
    if key == "stem":
        shape = (1, 64, 64) if option == "alexnet" else (1, 32, 32)
    facts: dict[str, Any] = {"categorical": ((1, 3), (5, 2))} if tabular else {}
    depths = (
        {"depth": {"classic": 13, "resnet": 34}[own_values(option)["_target_"].split(".")[2]]} if key == "depth" else {}
    )
    other = {"variant": "large" if own_values(option).get("variant") == "small" else "small", **OTHER, **depths}[key]
    small = {"depth": 18} if "resnet" in option else {}
    networks = []
    for changed in ({}, {key: other}):
        torch.manual_seed(0)
        networks.append(built(option, shape, 3, **small | BESIDE.get(key, {}) | changed, **facts))
    if size(networks[0]) == size(networks[1]):
        inputs = torch.randn(4, *shape)
        if tabular:
            inputs[:, 1:4] = torch.eye(3)[[0, 1, 2, 0]]
            inputs[:, 5:7] = torch.eye(2)[[0, 1, 1, 0]]
        first, second = (answers(network, inputs) for network in networks)
        assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert all(output.shape == (4, 3) and output.isfinite().all() for output in second)
