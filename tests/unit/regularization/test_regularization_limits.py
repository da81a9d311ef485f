"""A limit on weights, and noise on gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlexp.regularization.constraints import MaxNorm
from dlexp.regularization.gradient_noise import GradientNoise


def test_max_norm_scales_down_what_is_too_long_and_nothing_else() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0]]))
        layer.bias.fill_(100.0)
    MaxNorm(1.0)([layer])
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[0.6, 0.8, 0.0], [0.3, 0.4, 0.0]]))
    assert torch.equal(layer.bias.detach(), torch.tensor([100.0, 100.0]))


@pytest.mark.parametrize(
    ("layer", "dimension"),
    [(nn.Conv2d(2, 4, 3), 0), (nn.ConvTranspose2d(2, 4, 3), 1), (nn.Conv1d(2, 4, 3), 0), (nn.Embedding(7, 3), 0)],
)
def test_a_unit_is_what_one_output_reads(layer: nn.Module, dimension: int) -> None:
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    nn.init.constant_(weight, 2.0)
    MaxNorm(1.5)([layer])
    norms = weight.detach().transpose(0, dimension).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, 1.5))


def test_norms_and_frozen_weights_are_left_alone() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    net[0].weight.requires_grad_(False)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 5.0)
    MaxNorm(1.0)([net])
    assert [float(p.detach().max()) for p in net.parameters()] == [5.0, 5.0, 5.0, 5.0, pytest.approx(0.5), 5.0]


def test_noise_has_the_deviation_of_its_formula_and_dies_down() -> None:
    noise = GradientNoise(0.3)
    for step in (0, 10, 1000):
        assert noise.deviation(step) == pytest.approx((0.3 / (1 + step) ** 0.55) ** 0.5)
        weight, untouched = nn.Parameter(torch.zeros(100_000)), nn.Parameter(torch.zeros(2))
        weight.grad = torch.full_like(weight, 7.0)
        torch.manual_seed(step)
        noise(torch.optim.SGD([weight, untouched], lr=1.0), step)
        assert weight.grad.mean().item() == pytest.approx(7.0, abs=0.01)
        assert weight.grad.std().item() == pytest.approx(noise.deviation(step), rel=0.02)
        assert untouched.grad is None
