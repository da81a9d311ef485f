"""Distances by features: closed forms of Gram matrices, of style, content and total variation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dlexp.losses.perceptual import (
    PerceptualLoss,
    content_distance,
    gram_matrix,
    style_distance,
    total_variation,
)
from dlexp.models.generative.features import random_features


def test_a_gram_matrix_is_the_mean_of_products_of_channels() -> None:
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    found = gram_matrix(features).numpy()
    for number, one in enumerate(features.numpy()):
        by_hand = np.zeros((3, 3))
        for row in range(4):
            for column in range(5):
                by_hand += np.outer(one[:, row, column], one[:, row, column]) / 20
        assert found[number] == pytest.approx(by_hand, rel=1e-12)
    plain = gram_matrix(torch.tensor([2.0, -3.0]).reshape(1, 2, 1, 1).expand(1, 2, 7, 9))
    assert plain.tolist() == [[[4.0, -6.0], [-6.0, 9.0]]]


def test_style_forgets_where_and_content_does_not() -> None:
    features = torch.randn(1, 3, 4, 4)
    turned = features.flip(2, 3)
    gram = [gram_matrix(features)]
    assert style_distance([features], gram).item() == 0
    assert style_distance([turned], gram).item() == pytest.approx(0, abs=1e-12)
    assert content_distance([features], [features]).item() == 0
    assert content_distance([turned], [features]).item() > 0.1
    larger = features.repeat(1, 1, 2, 3)  # another size, the same texture
    assert style_distance([larger], gram).item() == pytest.approx(0, abs=1e-10)


def test_features_that_are_zero_are_at_distance_one_of_every_layer_whatever_its_scale() -> None:
    wanted = [torch.randn(2, 3, 4, 4), 1000 * torch.randn(2, 5, 2, 2)]
    nothing = [torch.zeros_like(one) for one in wanted]
    assert content_distance(nothing, wanted).tolist() == pytest.approx([1, 1])
    assert style_distance(nothing, [gram_matrix(one) for one in wanted]).tolist() == pytest.approx([1, 1])
    doubled = [2 * one for one in wanted]
    assert content_distance(doubled, wanted).tolist() == pytest.approx([1, 1])
    assert style_distance(doubled, [gram_matrix(one) for one in wanted]).tolist() == pytest.approx([9, 9])


def test_total_variation_counts_steps_between_neighbors() -> None:
    images = torch.zeros(2, 1, 3, 4)
    images[1, 0, :, 2:] = 1  # an edge across three rows
    assert total_variation(images).tolist() == pytest.approx([0, 3 / 12])
    assert total_variation(images.transpose(2, 3)).tolist() == pytest.approx([0, 3 / 12])
    assert total_variation(torch.rand(1, 3, 1, 1)).tolist() == [0]


def test_gradients_of_distances_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    given = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    other = torch.rand(1, 2, 3, 3, dtype=torch.float64)

    def seen(images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(nn.functional.conv2d(images, weight, padding=1))

    def distance(images: torch.Tensor) -> torch.Tensor:
        features = seen(images)
        gram = gram_matrix(features)
        apart = (gram - gram_matrix(seen(other))).square().sum() + (features - seen(other)).square().sum()
        return apart + total_variation(images).sum()

    assert torch.autograd.gradcheck(distance, (given,))


def test_the_gradient_of_a_perceptual_loss_is_for_the_images_alone() -> None:
    features = random_features(3)
    loss = PerceptualLoss(features, features.usual_style)
    images, targets = torch.rand(2, 3, 16, 16, requires_grad=True), torch.rand(2, 3, 16, 16, requires_grad=True)
    found = loss(images, targets)
    assert found.shape == (2,) and loss(targets, targets).tolist() == [0, 0]
    found.sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0
    assert targets.grad is None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loss.parameters())
