"""From noise to samples and back: ancestral sampling, DDIM, and the inversion of DDIM.

Sources: J. Ho et al. 2020 (arXiv:2006.11239); J. Song et al., "Denoising diffusion implicit models", ICLR 2021
(arXiv:2010.02502); J. Ho and T. Salimans 2021 (arXiv:2207.12598) for guidance.

Symbols: N samples, K classes, S steps, x_0 a sample, e its noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from dlexp.runtime.seed import generator
from dlexp.tasks.generative.diffusion.schedule import NoiseSchedule, chosen_times, clean, noise_in

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # x_t, share of the times (N,), class weights -> output
_REPETITIONS = 6  # of the fixed point that undoes a step


@dataclass(frozen=True)
class Denoising:
    """A network with its classes, and what its outputs mean.

    Attributes:
        network: Called with x_t (N, *shape), times in (0, 1] (N,) and class weights.
        schedule: Signal and noise of each time.
        kind: "epsilon", "x0" or "v".
        classes: (N, K) weights, None for no classes.
        guidance: 1 for the network's answer with the class, 0 without, more than 1 beyond it.
        limits: Lowest and highest number of a sample, which x_0 is clipped to; None for no limits.
    """

    network: Network
    schedule: NoiseSchedule
    kind: str
    classes: Tensor | None = None
    guidance: float = 1.0
    limits: tuple[float, float] | None = None

    def output(self, noised: Tensor, time: int) -> Tensor:
        """The output (N, *shape) for x_t at `time`; with guidance, both answers come from one pass of 2 N samples."""
        share = torch.full((len(noised),), (time + 1) / self.schedule.timesteps, device=noised.device)
        if self.classes is None or self.guidance == 1:
            return self.network(noised, share, self.classes).float()
        classes = torch.cat([self.classes, torch.zeros_like(self.classes)])
        found = self.network(torch.cat([noised, noised]), torch.cat([share, share]), classes).float()
        given, without = found.chunk(2)
        return without + self.guidance * (given - without)

    def parts(self, noised: Tensor, time: int) -> tuple[Tensor, Tensor]:
        """(x_0, e) that the network sees in x_t at `time`; where x_0 is clipped, e is what leads from it to x_t."""
        signal, spread = self.schedule.signal(time), self.schedule.noise(time)
        found = clean(self.kind, self.output(noised, time), noised, signal, spread)
        if self.limits is not None:
            found = found.clamp(*self.limits)
        return found, noise_in(noised, found, signal, spread)


def denoised(
    denoising: Denoising,
    latents: Tensor,
    *,
    steps: int,
    eta: float,
    seed: int,
    indices: Tensor,
    progress: Callable[[int, int], None],
) -> Tensor:
    """Samples (N, *shape) from noise `latents` (N, *shape).

    Args:
        denoising: The network.
        latents: x_T.
        steps: S, in [1, T].
        eta: 0 for DDIM, which draws nothing; 1 for ancestral sampling, which draws new noise at each step.
        seed: Of that noise.
        indices: (N,) int64 number of each sample: the noise of a sample is a function of (seed, index, step).
        progress: Called with (steps done, steps in all).
    """
    drawn = [generator(seed, "sample", "steps", number) for number in indices.tolist()] if eta else []
    times = [*chosen_times(denoising.schedule.timesteps, steps), -1]
    x = latents
    for number, (time, previous) in enumerate(pairwise(times), start=1):
        step = denoising.schedule.step(time, previous, eta)
        found, noise = denoising.parts(x, time)
        x = step.signal * found + step.direction * noise
        if step.spread:
            x = x + step.spread * _fresh(drawn, x)
        progress(number, steps)
    return x


def _fresh(generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Standard normal noise like `like`, that of each sample from its own generator."""
    return torch.stack([torch.randn(like.shape[1:], generator=each) for each in generators]).to(like.device)


def invert(denoising: Denoising, inputs: Tensor, *, steps: int) -> Tensor:
    """The noise (N, *shape) from which DDIM in as many steps makes `inputs` (N, *shape).

    Each step of DDIM is undone by repeating x_t <- (the x_t that leads to x_p, with the e or the x_0 that the network
    sees in the former x_t): e where there is more signal than noise, x_0 elsewhere, whichever changes less with x_t.
    x_0 is not clipped: nothing could undo it.
    """
    schedule = denoising.schedule
    x = inputs
    for previous, time in pairwise([-1, *reversed(chosen_times(schedule.timesteps, steps))]):
        kept, before = schedule.signal(previous), schedule.noise(previous)
        signal, spread = schedule.signal(time), schedule.noise(time)
        guess = x
        for _ in range(_REPETITIONS):
            found, rest = denoising.parts(guess, time)
            if signal > spread or not before:
                found = (x - before * rest) / kept
            else:
                rest = (x - kept * found) / before
            guess = signal * found + spread * rest
        x = guess
    return x
