"""How much noise each time has, and the closed forms that follow.

A sample x_0 at time t in [0, T) is x_t = signal x_0 + noise e with e standard normal and signal^2 + noise^2 = 1. Time
-1 is the data. Everything is computed in float64 and belongs to no network: an average of weights cannot change it.

Symbols: T times, B samples, a signal, s noise (both at t), p the time before t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST = 0.999  # largest share of the variance that one step replaces
_OFFSET = 0.008  # of the cosine, so that the first steps are not too small (Nichol & Dhariwal 2021)


def betas(kind: str, timesteps: int) -> Tensor:
    """Variance that each step adds: (T,) float64 in (0, 0.999].

    Args:
        kind: "linear" (Ho et al. 2020: 1e-4 to 0.02 for 1,000 steps, others in proportion) or "cosine" (Nichol &
            Dhariwal 2021).
        timesteps: T.
    """
    if kind == "linear":
        scale = 1000 / timesteps
        return torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64).clamp(max=_MOST)
    position = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    kept = torch.cos((position + _OFFSET) / (1 + _OFFSET) * math.pi / 2).square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=_MOST)


@dataclass(frozen=True)
class DenoisingStep:
    """One step back from a time to an earlier one: x_p = signal x_0 + direction e + spread z, z standard normal."""

    signal: float
    direction: float
    spread: float


class NoiseSchedule:
    """Signal and noise of each time.

    Args:
        kind: See `betas`.
        timesteps: T, 2 or more.

    Attributes:
        betas: (T,) float64.
        kept: (T,) float64: share of the data's variance that is left at each time, the product of 1 - betas.
    """

    def __init__(self, kind: str, timesteps: int) -> None:
        self.timesteps = timesteps
        self.betas = betas(kind, timesteps)
        self.kept = torch.cumprod(1 - self.betas, 0)
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def signal(self, time: int) -> float:
        """a at `time`; 1 at time -1."""
        return math.sqrt(self._share(time))

    def noise(self, time: int) -> float:
        """s at `time`; 0 at time -1."""
        return math.sqrt(1 - self._share(time))

    def _share(self, time: int) -> float:
        return float(self.kept[time]) if time >= 0 else 1.0

    def of(self, times: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
        """(a, s) at `times` (B,) int64: two of (B, 1, ...) with `dimensions` dimensions, float32."""
        tables = self._on.get(times.device)
        if tables is None:
            tables = (self.kept.sqrt().float().to(times.device), (1 - self.kept).sqrt().float().to(times.device))
            self._on[times.device] = tables
        shape = (-1, *[1] * (dimensions - 1))
        return tables[0][times].view(shape), tables[1][times].view(shape)

    def noised(self, inputs: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """x_t of x_0 (B, *shape) at `times` (B,) int64 with the noise e (B, *shape)."""
        signal, spread = self.of(times, inputs.ndim)
        return signal * inputs + spread * noise

    def posterior(self, time: int) -> tuple[float, float, float]:
        """q(x_{t-1} | x_t, x_0) is normal with mean `first` x_0 + `second` x_t and `variance`: the three numbers.

        Source: Ho et al. 2020, equations 6 and 7.
        """
        before, now, beta = self._share(time - 1), self._share(time), float(self.betas[time])
        first = math.sqrt(before) * beta / (1 - now)
        second = math.sqrt(1 - beta) * (1 - before) / (1 - now)
        return first, second, beta * (1 - before) / (1 - now)

    def step(self, time: int, previous: int, eta: float) -> DenoisingStep:
        """The step from `time` back to `previous` (Song et al. 2021, equation 12).

        eta  0 for no new noise; 1 for as much as the posterior has, which is ancestral sampling
        """
        before, now = self._share(previous), self._share(time)
        variance = eta * eta * (1 - before) / (1 - now) * (1 - now / before)
        return DenoisingStep(math.sqrt(before), math.sqrt(max(0.0, 1 - before - variance)), math.sqrt(variance))


def chosen_times(timesteps: int, count: int) -> list[int]:
    """`count` times out of `timesteps`, evenly spaced, from T - 1 down; the one after the last is -1, the data.

    Counted from the end, so that sampling begins where nothing but noise is left (Lin et al. 2024, arXiv:2305.08891).
    """
    return [round(timesteps * (count - number) / count) - 1 for number in range(count)]


def target(kind: str, inputs: Tensor, noise: Tensor, signal: Tensor, spread: Tensor) -> Tensor:
    """What a network of this kind of prediction learns to put out.

    Args:
        kind: "epsilon" (e; Ho et al. 2020), "x0" (the sample) or "v" (a e - s x_0; Salimans & Ho 2022).
        inputs: x_0 (B, *shape).
        noise: e (B, *shape).
        signal: a (B, 1, ...).
        spread: s (B, 1, ...).
    """
    if kind == "v":
        return signal * noise - spread * inputs
    return noise if kind == "epsilon" else inputs


def clean(kind: str, outputs: Tensor, noised: Tensor, signal: Tensor | float, spread: Tensor | float) -> Tensor:
    """x_0 (B, *shape) that an output for x_t `noised` means; see `target`."""
    if kind == "v":
        return signal * noised - spread * outputs
    return (noised - spread * outputs) / signal if kind == "epsilon" else outputs


def noise_in(noised: Tensor, inputs: Tensor, signal: Tensor | float, spread: Tensor | float) -> Tensor:
    """e (B, *shape) that leads from x_0 `inputs` to x_t `noised`."""
    return (noised - signal * inputs) / spread


def loss_weight(kind: str, weighting: str, limit: float, signal: Tensor, spread: Tensor) -> Tensor:
    """Weight of the squared error of an output of this kind, of the shape of `signal`.

    "simple" is 1. "min_snr" is that of an error of x_0 with the weight min(a^2 / s^2, limit) (Hang et al. 2023,
    arXiv:2303.09556), which the early times, almost without noise, do not dominate.
    """
    if weighting == "simple":
        return torch.ones_like(signal)
    ratio = (signal / spread).square()
    own = {"x0": torch.ones_like(ratio), "epsilon": ratio, "v": ratio + 1}[kind]
    return ratio.clamp(max=limit) / own
