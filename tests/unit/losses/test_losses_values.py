from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.classification import CrossEntropy
from dlexp.losses.regression import MAE, MSE, SmoothL1

CLASSES = [CrossEntropy(), CrossEntropy(0.1), CrossEntropy(0.9)]
VALUES = [MSE(), MAE(), SmoothL1(), SmoothL1(0.3)]


def batch(loss: nn.Module) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    outputs = 3 * torch.randn(7, 4, generator=rng, dtype=torch.float64)
    if isinstance(loss, CrossEntropy):
        return outputs, torch.arange(7) % 4
    return outputs, torch.randn(7, 4, generator=rng, dtype=torch.float64)


def closed_form(loss: nn.Module, outputs: Tensor, targets: Tensor) -> Tensor:
    """The formula as the docstring has it."""
    if isinstance(loss, CrossEntropy):
        share = loss.label_smoothing
        wanted = (1 - share) * F.one_hot(targets, 4).double() + share / 4
        return -(wanted * (outputs - outputs.logsumexp(1, keepdim=True))).sum(1).mean()
    error = (outputs - targets).abs()
    if isinstance(loss, SmoothL1):
        return torch.where(error < loss.beta, error**2 / (2 * loss.beta), error - loss.beta / 2).mean()
    return (error**2 if isinstance(loss, MSE) else error).mean()


@pytest.mark.parametrize("loss", [*CLASSES, *VALUES])
def test_a_loss_is_its_formula_in_float64(loss: nn.Module) -> None:
    outputs, targets = batch(loss)
    found = loss(outputs, targets)
    assert found.dtype == torch.float64
    assert found.shape == ()
    torch.testing.assert_close(found, closed_form(loss, outputs, targets), rtol=1e-13, atol=0)


def test_losses_agree_with_torch() -> None:
    outputs, targets = batch(CLASSES[0])
    assert torch.equal(CrossEntropy(0.2)(outputs, targets), F.cross_entropy(outputs, targets, label_smoothing=0.2))
    outputs, targets = batch(VALUES[0])
    assert torch.equal(MSE()(outputs, targets), F.mse_loss(outputs, targets))
    assert torch.equal(MAE()(outputs, targets), F.l1_loss(outputs, targets))
    assert torch.equal(SmoothL1(0.3)(outputs, targets), F.smooth_l1_loss(outputs, targets, beta=0.3))


@pytest.mark.parametrize("loss", [*CLASSES, *VALUES])
def test_the_gradient_is_that_of_finite_differences(loss: nn.Module) -> None:
    outputs, targets = batch(loss)
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), outputs.requires_grad_(), eps=1e-6, atol=1e-8)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", [*CLASSES, *VALUES])
def test_half_precision_outputs_are_summed_in_float32(loss: nn.Module, half: torch.dtype) -> None:
    outputs, targets = batch(loss)
    targets = targets if isinstance(loss, CrossEntropy) else targets.float()
    found = loss(outputs.to(half), targets)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(outputs.to(half).float(), targets))


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    assert CrossEntropy()(logits, torch.tensor([0, 1])) == 0
    assert CrossEntropy()(logits, torch.tensor([1, 0])) == 2e4
