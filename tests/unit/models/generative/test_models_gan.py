"""Generators and discriminators: published sizes, any shape of sample, classes."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from torch import nn

from dlexp.models.generative.gan import BlockSoftmax, gan


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_dense_gan_has_its_sizes() -> None:
    made = gan(input_shape=(1, 28, 28), layer_kind="dense", dropout=0.3)
    assert (count(made["generator"]), count(made["discriminator"])) == (1_510_032, 566_273)


def test_the_published_convolutional_generator_has_its_size() -> None:
    made = gan(input_shape=(1, 28, 28), layer_kind="convolutional", discriminator_norm="batch", dropout=0.25)
    assert count(made["generator"]) == 856_065
    score = made["discriminator"].score
    assert isinstance(score, nn.Linear)
    assert score.in_features == 128 * 2 * 2  # the published size, 28 // 16 squared, is not that of its own maps


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 30), (1, 2, 2), (1, 5, 16)])
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_every_shape_is_made_and_scored(shape: tuple[int, ...], kind: str) -> None:
    if kind == "convolutional" and len(shape) == 1:
        return
    made = gan(input_shape=shape, layer_kind=kind, latent=3, discriminator_norm="batch", dropout=0.1)
    samples = made["generator"](torch.randn(2, 3))
    assert samples.shape == (2, *shape)
    assert made["discriminator"](samples).shape == (2,)
    if len(shape) == 3:
        assert samples.abs().max() <= 1


@pytest.mark.parametrize("shape", [(5,), (2, 8, 8), (1, 16, 16)])
@pytest.mark.parametrize("condition", ["projection", "concatenation"])
def test_classes_change_samples_and_scores(shape: tuple[int, ...], condition: str) -> None:
    torch.manual_seed(0)
    made = gan(input_shape=shape, num_classes=3, latent=4, conditional=True, condition=condition)
    generator, discriminator = made["generator"].eval(), made["discriminator"].eval()
    noise, classes = torch.randn(1, 4).expand(3, 4), torch.eye(3)
    samples = generator(noise, classes)
    assert not torch.allclose(samples[0], samples[1])
    scores = discriminator(samples[:1].expand(3, *shape), classes)
    assert len(set(scores.tolist())) == 3
    halves = generator(noise[:1], torch.tensor([[0.5, 0.5, 0.0]]))
    assert halves.shape == (1, *shape) and halves.isfinite().all()


def test_an_unconditional_gan_has_no_weights_for_classes() -> None:
    plain, other = (gan(input_shape=(5,), num_classes=number) for number in (0, 3))
    assert [count(network) for network in plain.values()] == [count(network) for network in other.values()]


def test_categories_of_a_table_are_shares_and_numbers_are_free() -> None:
    layer = BlockSoftmax(((1, 3), (5, 2)), 8)
    made = layer(10 * torch.randn(4, 8))
    assert torch.allclose(made[:, 1:4].sum(1), torch.ones(4)) and torch.allclose(made[:, 5:7].sum(1), torch.ones(4))
    given = 10 * torch.randn(4, 8)
    assert torch.equal(layer(given)[:, [0, 4, 7]], given[:, [0, 4, 7]])


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ({"conditional": True}, "model.conditional=false"),
        ({"layer_kind": "convolutional"}, "model.layer_kind=dense"),
        ({"generator_channels": [8]}, "model.generator_hidden"),
        ({"input_shape": (1, 28, 28), "discriminator_hidden": [8]}, "model.generator_channels"),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_remedy(words: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        gan(**{"input_shape": (4,), **words})


def test_sizes_follow_the_sample() -> None:
    small, large = (gan(input_shape=shape, layer_kind="dense") for shape in ((1, 8, 8), (1, 16, 16)))
    assert count(small["generator"]) < 60_000 < count(large["generator"])
    assert prod((1, 16, 16)) == 256
