"""PSNR and SSIM against closed forms, a program of loops, and torchmetrics where it is installed."""

from __future__ import annotations

from math import exp, log10

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dlexp.metrics.generative.image_quality import psnr, ssim

Floats = NDArray[np.float64]


def by_loops(x: Floats, y: Floats, size: int = 11) -> float:
    """The definition of Wang et al., window by window, of two images (C, H, W)."""
    half = (size - 1) / 2
    weights = np.array([[exp(-((r - half) ** 2 + (c - half) ** 2) / 4.5) for c in range(size)] for r in range(size)])
    weights /= weights.sum()
    found = []
    for one, other in zip(x, y, strict=True):
        for row in range(one.shape[0] - size + 1):
            for column in range(one.shape[1] - size + 1):
                a = one[row : row + size, column : column + size]
                b = other[row : row + size, column : column + size]
                mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
                both = (weights * (a - mean_a) * (b - mean_b)).sum()
                up = (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
                found.append(up / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
    return float(np.mean(found))


@pytest.mark.parametrize(("shape", "size"), [((3, 13, 12), 11), ((1, 6, 9), 5), ((1, 1, 4), 1)])
def test_ssim_is_that_of_the_definition_window_by_window(shape: tuple[int, ...], size: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.random(shape)
    y = np.clip(x + 0.1 * rng.standard_normal(shape), 0, 1)
    found = ssim(torch.from_numpy(x)[None].float(), torch.from_numpy(y)[None].float())
    assert found.item() == pytest.approx(by_loops(x, y, size), abs=1e-6)


def test_closed_forms() -> None:
    black, white, gray = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    assert psnr(black, white).item() == pytest.approx(0)
    assert psnr(gray, white).item() == pytest.approx(-10 * log10(0.25))
    assert psnr(gray + 0.01, gray).item() == pytest.approx(40, abs=1e-3)
    assert psnr(gray, gray).item() == pytest.approx(100)
    assert ssim(gray, gray).item() == 1
    assert ssim(black, white).item() == pytest.approx(1e-4 / (1 + 1e-4), rel=1e-6)  # means alone: no variance
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert ssim(image, 1 - image).item() < 0  # structure turned around


def test_each_image_has_its_own_value() -> None:
    images = torch.rand(3, 3, 16, 16)
    others = images.clone()
    others[1] = 0
    assert psnr(images, others).tolist()[0] == psnr(images, others).tolist()[2] == 100
    assert ssim(images, others)[1].item() == pytest.approx(ssim(images[1:2], others[1:2]).item())


def test_both_are_those_of_torchmetrics() -> None:
    measures = pytest.importorskip("torchmetrics.functional.image")
    torch.manual_seed(1)
    x = torch.rand(2, 3, 24, 20, dtype=torch.float64)
    y = (x + 0.05 * torch.randn_like(x)).clamp(0, 1)
    for one in range(2):
        pair = x[one : one + 1], y[one : one + 1]
        wanted = measures.peak_signal_noise_ratio(*pair, data_range=1.0).item()
        assert psnr(*pair).item() == pytest.approx(wanted, rel=1e-6)
        _, places = measures.structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
        inside = places[..., 5:-5, 5:-5].mean().item()  # its mean has windows over mirrored edges too
        assert ssim(*pair).item() == pytest.approx(inside, rel=1e-6)
