"""Losses and penalties of adversarial training against closed forms and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.adversarial import (
    OBJECTIVES,
    discriminator_losses,
    generator_losses,
    gradient_norms,
    points_between,
)
from dlexp.models.generative.gan import gan

REAL, FAKE = torch.tensor([-1.5, 0.0, 2.0]), torch.tensor([0.5, -3.0, 0.0])


def test_the_logistic_loss_is_minus_the_logarithms_of_the_probabilities() -> None:
    real, fake = discriminator_losses("non_saturating", REAL, FAKE)
    assert torch.allclose(real, -torch.sigmoid(REAL).log())
    assert torch.allclose(fake, -(1 - torch.sigmoid(FAKE)).log())
    assert torch.allclose(generator_losses("non_saturating", FAKE), -torch.sigmoid(FAKE).log())
    undecided = sum(part.sum() for part in discriminator_losses("non_saturating", *torch.zeros(2, 1)))
    assert float(undecided) == pytest.approx(2 * math.log(2))


def test_it_is_finite_where_a_sigmoid_is_not() -> None:
    parts = discriminator_losses("non_saturating", torch.tensor([-1e4]), torch.tensor([1e4]))
    assert [float(part) for part in parts] == [1e4, 1e4]


@pytest.mark.parametrize(
    ("objective", "real", "fake", "made"),
    [("wasserstein", -2.0, -3.0, 3.0), ("least_squares", 0.5, 4.5, 8.0), ("hinge", 0.0, 0.0, 3.0)],
)
def test_the_others_by_hand(objective: str, real: float, fake: float, made: float) -> None:
    parts = discriminator_losses(objective, torch.tensor([2.0]), torch.tensor([-3.0]))
    assert [float(part) for part in parts] == [real, fake]
    assert float(generator_losses(objective, torch.tensor([-3.0]))) == made


def test_smoothing_moves_the_best_score_of_data_alone() -> None:
    smooth, fake = discriminator_losses("non_saturating", REAL, FAKE, smoothing=0.1)
    assert torch.allclose(smooth, F.binary_cross_entropy_with_logits(REAL, torch.full((3,), 0.9), reduction="none"))
    assert torch.equal(fake, discriminator_losses("non_saturating", REAL, FAKE)[1])
    best, _ = discriminator_losses("least_squares", torch.tensor([0.9]), FAKE, smoothing=0.1)
    assert float(best) == 0


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match=", ".join(OBJECTIVES)):
        discriminator_losses("wgan", REAL, FAKE)


def linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda inputs: inputs.flatten(1) @ weight


def test_a_linear_critic_has_the_norm_of_its_weights_everywhere() -> None:
    weight = torch.tensor([3.0, 4.0])
    norms = gradient_norms(linear(weight), torch.randn(6, 1, 2))
    assert torch.allclose(norms, torch.full((6,), 5.0))
    assert float((norms - 1).square().mean()) == pytest.approx(16.0)
    with torch.no_grad():  # as the search for a learning rate calls it
        assert torch.allclose(gradient_norms(linear(weight), torch.randn(6, 2)), norms.detach())


def test_the_gradient_of_the_penalty_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    points = torch.randn(4, 3, dtype=torch.float64)

    def penalty() -> Tensor:
        return (gradient_norms(lambda inputs: critic(inputs).squeeze(1), points) - 1).square().mean()

    penalty().backward()
    weight = critic[0].weight
    assert isinstance(weight, nn.Parameter) and weight.grad is not None
    for place in ((0, 0), (2, 1), (4, 2)):
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight[place] += step
                values.append(float(penalty()))
                weight[place] -= step
        assert float(weight.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-9)


def test_points_lie_between_each_datum_and_its_sample() -> None:
    torch.manual_seed(0)
    real, fake = torch.zeros(500, 1, 2, 2), torch.ones(500, 1, 2, 2)
    points = points_between(real, fake)
    assert torch.equal(points, points[:, :, :1, :1].expand_as(points))  # one share of a sample
    assert 0 <= points.min() < 0.05 and 0.95 < points.max() <= 1


def test_the_weights_of_a_spectrally_normed_discriminator_have_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    discriminator = gan(input_shape=(2,), discriminator_hidden=[2], spectral_norm=1.0)["discriminator"]
    layer = next(module for module in discriminator.modules() if isinstance(module, nn.Linear))
    known = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    with torch.no_grad():
        layer.get_parameter("parametrizations.weight.original").copy_(known)
    for _ in range(30):  # each use in training is a step of the power iteration
        discriminator(torch.randn(4, 2))
    discriminator.eval()
    assert torch.allclose(layer.weight, known / 3, atol=1e-5)
    before = [buffer.clone() for buffer in discriminator.buffers()]
    discriminator(torch.randn(4, 2))
    assert all(torch.equal(now, then) for now, then in zip(discriminator.buffers(), before, strict=True))


def test_its_slope_is_at_most_the_bound() -> None:
    torch.manual_seed(0)
    discriminator = gan(input_shape=(3,), discriminator_hidden=[16, 16], spectral_norm=7.0)["discriminator"]
    for _ in range(30):
        discriminator(torch.randn(4, 3))
    discriminator.eval()
    norms = gradient_norms(discriminator, 3 * torch.randn(200, 3)).detach()
    assert 0.1 < float(norms.max()) <= 7.0 * 1.01
