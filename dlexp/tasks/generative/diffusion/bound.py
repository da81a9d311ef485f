"""The variational bound of a diffusion model: how many nats of a sample it does not explain, at most.

-log p(x) <= prior + diffusion + decoder: the divergence of x_{T-1} from noise, the sum of those of all steps, and the
code of x given x_0, which is x with the noise of the first time. The decoder needs no network: p(x | x_0) is
proportional to q(x_0 | x) over the levels of a pixel, and a normal density where numbers are continuous.

Source: D. Kingma et al., "Variational diffusion models", NeurIPS 2021 (arXiv:2107.00630), equations 11 to 14.

Symbols: B samples, D numbers of a sample, L levels of a pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dlexp.tasks.generative.diffusion.schedule import NoiseSchedule


def prior(schedule: NoiseSchedule, inputs: Tensor) -> Tensor:
    """(B,) nats between x_{T-1} of `inputs` (B, *shape) and standard normal noise."""
    left = float(schedule.kept[-1])
    numbers = inputs.flatten(1).double()
    return (left * numbers.square() - left - math.log1p(-left)).sum(1) / 2


def step_factors(schedule: NoiseSchedule) -> Tensor:
    """(T,) float64: nats of a step per unit of the squared error of x_0 (sum over D); 0 at time 0, which is decoded."""
    ratio = schedule.kept / (1 - schedule.kept)
    return torch.cat([torch.zeros(1, dtype=torch.float64), (ratio[:-1] - ratio[1:]) / 2])


def decoder(
    schedule: NoiseSchedule, inputs: Tensor, noise: Tensor, limits: tuple[float, float] | None, levels: int | None
) -> Tensor:
    """(B,) nats of `inputs` (B, *shape) given x_0 with this noise.

    Args:
        schedule: Gives the noise of time 0.
        inputs: Samples.
        noise: e (B, *shape).
        limits: Lowest and highest level.
        levels: L, evenly spaced; None for continuous numbers, whose density it is then, of their own units.
    """
    width = schedule.noise(0) / schedule.signal(0)
    code = noise.flatten(1).double()
    if levels is None or limits is None:
        return (code.square() / 2 + math.log(width) + math.log(2 * math.pi) / 2).sum(1)
    values = torch.linspace(*limits, levels, dtype=torch.float64, device=inputs.device)
    seen = inputs.flatten(1).double() + width * code
    total = torch.full_like(seen, -torch.inf)
    for value in values:  # level by level, so that no tensor has L times the size of the batch
        total = torch.logaddexp(total, -((seen - value) / width).square() / 2)
    return (code.square() / 2 + total).sum(1)
