"""Networks that enlarge images, and a picture as parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dlexp.models.generative.canvas import canvas
from dlexp.models.generative.super_resolution import bicubic, edsr, espcn, srcnn

MODELS: dict[str, Callable[..., nn.Module]] = {"srcnn": srcnn, "espcn": espcn, "edsr": edsr}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("factor", [2, 3])
def test_a_network_begins_at_the_bicubic_enlargement_and_takes_any_size(name: str, factor: int) -> None:
    made = MODELS[name](input_shape=(3, 8, 8), target_shape=(3, 8 * factor, 8 * factor))
    images = torch.rand(2, 3, 10, 6)
    assert torch.equal(made(images), bicubic(images, factor))
    assert made(images).shape == (2, 3, 10 * factor, 6 * factor)
    made(images).square().sum().backward()
    last = [layer for layer in made.modules() if isinstance(layer, nn.Conv2d)][-1]
    assert last.weight.grad is not None and last.weight.grad.abs().max() > 0
    with torch.no_grad():
        last.weight.normal_()
    assert not torch.allclose(made(images), bicubic(images, factor))


def test_published_numbers_of_parameters() -> None:
    def size(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    gray: dict[str, Any] = {"input_shape": (1, 8, 8), "target_shape": (1, 24, 24)}
    assert size(srcnn(**gray)) == 57_281  # 9-5-5 of Dong et al. with biases: 5,248 + 51,232 + 801
    assert size(espcn(**gray)) == 64 * 25 + 64 + 32 * 64 * 9 + 32 + 9 * 32 * 9 + 9
    colored = edsr(input_shape=(3, 8, 8), target_shape=(3, 16, 16), feature_maps=64, blocks=16)
    assert size(colored) == (3 * 9 + 1) * 64 + 16 * 2 * (64 * 9 + 1) * 64 + (64 * 9 + 1) * 12


def test_a_plain_image_stays_plain_at_its_edges() -> None:
    torch.manual_seed(0)
    made = edsr(input_shape=(3, 8, 8), target_shape=(3, 16, 16), feature_maps=8, blocks=1)
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.2)
    found = made(torch.full((1, 3, 8, 8), 0.3))
    blocks = found.unfold(2, 2, 2).unfold(3, 2, 2)
    assert torch.allclose(blocks, blocks[:, :, :1, :1].expand_as(blocks), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"target_shape": (3, 12, 12)}, "whole number"),
        ({"target_shape": (1, 16, 16)}, "whole number"),
        ({"kernels": (9, 5)}, "one more number"),
        ({"kernels": (9, 4, 5)}, "odd"),
    ],
)
def test_shapes_and_kernels_that_do_not_fit_are_refused(options: dict[str, object], rule: str) -> None:
    given: dict[str, object] = {"input_shape": (3, 8, 8), "target_shape": (3, 16, 16)}
    with pytest.raises(ValueError, match=rule):
        MODELS["srcnn"](**{**given, **options})


def test_a_canvas_is_the_content_at_first_or_noise_whatever_enters() -> None:
    images = torch.rand(2, 3, 5, 4)
    changed = canvas(input_shape=(3, 5, 4))
    assert torch.equal(changed(images), images)
    assert sum(parameter.numel() for parameter in changed.parameters()) == 60
    noise = canvas(input_shape=(3, 5, 4), start="noise")
    assert torch.equal(noise(images)[0], noise(images)[1])
    assert torch.equal(noise(images), noise(1 - images))
    assert 0.4 <= noise(images).min() < noise(images).max() <= 0.6
    with pytest.raises(ValueError, match="available: content, noise"):
        canvas(input_shape=(3, 5, 4), start="style")
