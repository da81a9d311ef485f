"""Attributions by the gradient of the score with respect to the inputs.

Symbols: B samples, S the shape of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dlexp.explain.score import Score, row_numbers, scores_of
from dlexp.runtime.seed import generator


def input_gradients(score: Score, values: Tensor, rows: Tensor) -> Tensor:
    """(N, *S): the gradient of the score of each row; 0 where the score does not depend on the inputs."""
    leaf = values.detach().requires_grad_(True)
    with torch.enable_grad():
        total = score(leaf, rows).sum()
    if not total.requires_grad:
        return torch.zeros_like(values)
    (found,) = torch.autograd.grad(total, leaf, allow_unused=True)
    return torch.zeros_like(values) if found is None else found


def saliency(score: Score, values: Tensor, at_once: int = 64) -> Tensor:
    """(B, *S) >= 0: the absolute gradient (Simonyan et al. 2013, arXiv:1312.6034)."""
    return _gradients(score, values, at_once).abs()


def gradient_x_input(score: Score, values: Tensor, at_once: int = 64) -> Tensor:
    """(B, *S): gradient times input (Shrikumar et al. 2016, arXiv:1605.01713); exact for a linear score."""
    return _gradients(score, values, at_once) * values


def _gradients(score: Score, values: Tensor, at_once: int) -> Tensor:
    pieces = zip(values.split(at_once), row_numbers(values).split(at_once), strict=True)
    return torch.cat([input_gradients(score, piece, rows) for piece, rows in pieces])


def integrated_gradients(
    score: Score, values: Tensor, baseline: Tensor, steps: int = 64, at_once: int = 64
) -> tuple[Tensor, Tensor]:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) by the midpoint rule.

    Memory does not grow with `steps`: `at_once` rows are computed together, whatever the two numbers are.

    Args:
        score: What is explained.
        values: (B, *S).
        baseline: The start of the path, of a shape that broadcasts to (B, *S).
        steps: Points on the path, >= 1.
        at_once: Rows that are computed together.

    Returns:
        Attributions (B, *S), and their completeness error (B,): sum of the attributions minus (score - score of the
        baseline), in units of the score. It goes to 0 with the steps.
    """
    start = baseline.expand_as(values)
    total = torch.zeros_like(values, dtype=torch.float64)
    for first in range(0, len(values), at_once):
        piece = slice(first, min(first + at_once, len(values)))
        count = piece.stop - first
        together = max(1, at_once // count)  # points on the path that fit beside each other
        rows, apart = torch.arange(first, piece.stop, device=values.device), values[piece] - start[piece]
        for begin in range(0, steps, together):
            points = torch.arange(begin, min(begin + together, steps), dtype=torch.float64, device=values.device)
            shares = ((points + 0.5) / steps).to(values.dtype).view(-1, 1, *[1] * (values.dim() - 1))
            path = (start[piece] + shares * apart).flatten(0, 1)
            slopes = input_gradients(score, path, rows.repeat(len(points)))
            total[piece] += slopes.unflatten(0, (len(points), count)).sum(0)
    found = (total / steps * (values - start)).to(values.dtype)
    rows = row_numbers(values)
    change = scores_of(score, values, rows, at_once) - scores_of(score, start, rows, at_once)
    return found, found.flatten(1).sum(1, dtype=torch.float64) - change


def smoothgrad(
    score: Score, values: Tensor, numbers: Sequence[int], seed: int, draws: int = 25, noise: float = 0.15
) -> Tensor:
    """(B, *S) >= 0: the absolute mean gradient of noisy copies (Smilkov et al. 2017, arXiv:1706.03825).

    Args:
        score: What is explained.
        values: (B, *S).
        numbers: The number of each sample in its source: the noise of a sample does not depend on the others.
        seed: Of the noise.
        draws: Noisy copies of a sample.
        noise: Its standard deviation over the range of the values of a sample.
    """
    found = []
    for row, number in enumerate(numbers):
        value = values[row]
        scale = noise * (value.amax() - value.amin())
        drawn = [
            torch.randn(value.shape, generator=generator(seed, "smoothgrad", number, draw)) for draw in range(draws)
        ]
        noisy = value + scale * torch.stack(drawn).to(value)
        rows = torch.full((draws,), row, device=values.device)
        found.append(input_gradients(score, noisy, rows).mean(0).abs())
    return torch.stack(found)
