"""Splines of flows: monotone, exactly inverted, with the derivative of autograd."""

from __future__ import annotations

import torch

from dlexp.models.generative.spline import EDGE, spline


def drawn(count: int = 300, bins: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    raw = 2 * torch.randn(count, 3 * bins - 1, dtype=torch.float64)
    return (3 * torch.randn(count, dtype=torch.float64)).requires_grad_(), raw


def test_the_logarithm_of_the_slope_is_autograds() -> None:
    x, raw = drawn()
    y, log_slope = spline(x, raw)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope.log() - log_slope).abs().max() < 1e-9
    assert bool((slope > 0).all())


def test_the_inverse_leads_back_with_the_opposite_slope() -> None:
    x, raw = drawn()
    y, log_slope = spline(x, raw)
    back, log_back = spline(y, raw, inverse=True)
    assert (back - x).abs().max() < 1e-9
    assert (log_slope + log_back).abs().max() < 1e-9


def test_zeros_are_the_identity_and_so_is_everything_outside() -> None:
    x, raw = drawn()
    y, log_slope = spline(x.detach(), 0 * raw)
    assert (y - x).abs().max() < 1e-12
    assert log_slope.abs().max() < 1e-12
    far = torch.tensor([-EDGE - 1, EDGE + 0.5], dtype=torch.float64)
    assert torch.equal(spline(far, raw[:2])[0], far)
    assert (spline(far / 1e9 + torch.tensor([-EDGE, EDGE]), raw[:2])[0].abs() - EDGE).abs().max() < 1e-6
