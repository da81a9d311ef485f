"""Diffusion: a network learns to take noise away, and makes samples by taking it away step by step.

Sources: J. Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020 (arXiv:2006.11239); A. Nichol and P.
Dhariwal, ICML 2021 (arXiv:2102.09672); T. Salimans and J. Ho, ICLR 2022 (arXiv:2202.00512).

Symbols: B samples in a batch, N samples that are made, D numbers of a sample, K classes, T times of noise, M times of
noise at which a sample is evaluated.
"""

from __future__ import annotations

import math
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.specs import DataSpec, ImageSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.generative.base import ExportedPart, GenerativeTask, Sampling, class_weights, noise
from dlexp.tasks.generative.diffusion import bound
from dlexp.tasks.generative.diffusion.sampling import Denoising, denoised, invert
from dlexp.tasks.generative.diffusion.schedule import NoiseSchedule, clean, loss_weight, target
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Diffusion"]

_EVALUATED = 4  # M
_GOLDEN = (math.sqrt(5) - 1) / 2


@runtime_checkable
class TakesNoiseAway(Protocol):
    """A network that takes noise away, of which K is `num_classes`, 0 where it knows no classes."""

    num_classes: int

    def __call__(self, inputs: Tensor, times: Tensor, classes: Tensor | None) -> Tensor:
        """x_t (B, *shape), times in (0, 1] (B,), class weights (B, K) or None -> (B, *shape)."""


class Diffusion(GenerativeTask):
    """The squared error of the noise, of the sample, or of a mixture of both, at random times.

    In training the times of a batch are spread evenly over [0, T) from a random start, and the class of some samples is
    left out. In evaluation each sample has M fixed times, one in each M-th of [0, T), and fixed noise, both functions
    of its number: epochs compare, and the size of the batches does not matter.

    Attributes:
        schedule: Signal and noise of each time.
    """

    metrics = {"loss": "min", "bits_per_dim": "min"}

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        timesteps: int = 200,
        schedule: str = "cosine",
        prediction: str = "v",
        weighting: str = "simple",
        snr_limit: float = 5.0,
        class_dropout: float = 0.1,
        steps: int = 20,
        eta: float | None = None,
        guidance: float = 1.0,
        clip: bool = True,
    ) -> None:
        """Raises ValueError for more steps than times.

        Args:
            spec: The data.
            loss: Not used.
            timesteps: T.
            schedule: "cosine" or "linear".
            prediction: What the network puts out: "epsilon" (the noise), "x0" (the sample) or "v".
            weighting: Of the squared errors by their times: "simple" or "min_snr".
            snr_limit: Largest weight of min_snr.
            class_dropout: Share of the training samples whose class the network does not see.
            steps: Steps of sampling.
            eta: Noise that sampling adds: 0 none (DDIM), 1 that of ancestral sampling; None for 1 with T steps, else 0.
            guidance: Strength of classifier-free guidance, 1 for none.
            clip: Whether the sample seen in each step is clipped to the range of the pixels.
        """
        del loss  # it is given by the prediction
        super().__init__(spec=spec)
        if steps > timesteps:
            raise ValueError(f"steps={steps} is more than timesteps={timesteps}. Set task.steps={timesteps}")
        if guidance != 1 and not class_dropout:
            rule = f"guidance={guidance:g} requires training samples whose class is not shown"
            raise ValueError(f"{rule}. Set task.class_dropout=0.1")
        self.schedule = NoiseSchedule(schedule, timesteps)
        self._prediction, self._weighting, self._snr_limit = prediction, weighting, snr_limit
        self._class_dropout, self._steps, self._eta, self._guidance = class_dropout, steps, eta, guidance
        inputs = spec.inputs
        self._limits = inputs.value_range if isinstance(inputs, ImageSpec) else None
        self._levels = inputs.levels if isinstance(inputs, ImageSpec) else None
        self._clips = clip
        self._step_factors = bound.step_factors(self.schedule)

    def options(self, networks: Networks) -> frozenset[str]:
        """Steps, of a network that knows classes also class, and guidance if it has learned samples without one."""
        guided = {"guidance"} if self._class_dropout else set[str]()
        return frozenset({"steps", "classes", *guided} if _checked(networks).num_classes else {"steps"})

    def exported(self, networks: Networks) -> ExportedPart:
        """The denoiser: noised inputs, times (t + 1) / T, and class weights where it knows classes."""
        known = _checked(networks).num_classes
        shapes = {"inputs": self.spec.inputs.shape, "times": ()} | ({"classes": (known,)} if known else {})
        what = f"{self._prediction} of noised inputs, in the range of the network"
        return ExportedPart(cast(nn.Module, _checked(networks)), shapes, what)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples of the weighted squared error, itself a mean over D."""
        inputs = as_tensor(batch.inputs)
        count, device = len(batch), inputs.device
        start = torch.rand((), device=device) + torch.arange(count, device=device) / count
        times = ((start % 1) * self.schedule.timesteps).long().clamp(max=self.schedule.timesteps - 1)
        classes = _classes(networks, batch)
        if classes is not None and self._class_dropout:
            classes = classes * (torch.rand(count, 1, device=device) >= self._class_dropout)
        errors, _ = self._errors(networks, inputs, times, torch.randn_like(inputs), classes)
        return LossOutput(errors.mean())

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The samples seen in their least noise, the loss of each, and the bound on its bits."""
        inputs, classes = as_tensor(batch.inputs), _classes(networks, batch)
        times = evaluation_times(batch.indices, self.schedule.timesteps)
        drawn = noise((_EVALUATED, *inputs.shape[1:]), 0, batch.indices, "evaluation").to(inputs)
        losses, found = [], []
        for number in range(_EVALUATED):
            errors, clear = self._errors(networks, inputs, times[:, number], drawn[:, number], classes)
            losses.append(errors)
            found.append(clear)
        bits = self._bits(inputs, torch.stack(found, 1), times, drawn)
        loss = torch.stack(losses, 1).mean(1)
        extra = {"loss": loss, "bits_per_dim": bits}
        return Prediction(found[0], None, loss.mean(), batch.indices, extra)

    @property
    def score(self) -> str:
        """The bound on a sample's bits per dimension."""
        return "bits_per_dim"

    def noise_shape(self, networks: Networks) -> tuple[int, ...]:
        """The shape of a sample."""
        return tuple(self.spec.inputs.shape)

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, *shape) of noise (N, *shape), in `sampling.steps` steps."""
        steps = self._steps if sampling.steps is None else sampling.steps
        if not 1 <= steps <= self.schedule.timesteps:
            rule = f"must be from 1 to task.timesteps={self.schedule.timesteps}, got {steps}"
            raise ConfigError.one("steps", steps, rule, f"Use --steps {self._steps}", code="invalid-value")
        eta = float(steps == self.schedule.timesteps) if self._eta is None else self._eta
        return denoised(
            self._denoising(networks, sampling.classes, sampling.guidance, clips=self._clips),
            latents,
            steps=steps,
            eta=eta,
            seed=sampling.seed,
            indices=sampling.indices,
            progress=sampling.progress,
        )

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """(B, *shape): the noise from which `decoded` makes the inputs, in its own number of steps."""
        denoising = self._denoising(networks, _classes(networks, batch), None, clips=False)
        return invert(denoising, as_tensor(batch.inputs), steps=self._steps)

    def _denoising(
        self, networks: Networks, classes: Tensor | None, guidance: float | None, *, clips: bool
    ) -> Denoising:
        return Denoising(
            _checked(networks),
            self.schedule,
            self._prediction,
            classes,
            self._guidance if guidance is None else guidance,
            self._limits if clips else None,
        )

    def _errors(
        self, networks: Networks, inputs: Tensor, times: Tensor, drawn: Tensor, classes: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(B,) weighted squared errors at `times` (B,) with this noise, and x_0 (B, *shape) that the network saw."""
        signal, spread = self.schedule.of(times, inputs.ndim)
        noised = signal * inputs + spread * drawn
        outputs = _checked(networks)(noised, (times + 1) / self.schedule.timesteps, classes).float()
        wanted = target(self._prediction, inputs, drawn, signal, spread)
        weight = loss_weight(self._prediction, self._weighting, self._snr_limit, signal, spread)
        errors = (outputs - wanted).square().flatten(1).mean(1) * weight.flatten()
        return errors, clean(self._prediction, outputs, noised, signal, spread)

    def _bits(self, inputs: Tensor, found: Tensor, times: Tensor, drawn: Tensor) -> Tensor:
        """(B,) the bound per number of a sample, of x_0 `found` (B, M, *shape) at `times` (B, M) with noise `drawn`."""
        seen = found if self._limits is None else found.clamp(*self._limits)
        errors = (seen - inputs[:, None]).flatten(2).double().square().sum(2)
        steps = (errors * self._step_factors.to(errors.device)[times]).mean(1) * self.schedule.timesteps
        decoded = bound.decoder(self.schedule, inputs, drawn[:, 0], self._limits, self._levels)
        nats = bound.prior(self.schedule, inputs) + steps + decoded
        return (nats / (math.log(2) * math.prod(inputs.shape[1:]))).float()


def evaluation_times(indices: Tensor, timesteps: int) -> Tensor:
    """(B, M) int64 in [0, T): one time in each M-th, at a place that the sample's number (B,) decides.

    Neighboring numbers get distant places (multiples of the golden ratio), so that few samples cover all times.
    """
    place = (indices.double() * _GOLDEN) % 1
    strata = torch.arange(_EVALUATED, device=indices.device)
    return ((strata + place[:, None]) / _EVALUATED * timesteps).long().clamp(max=timesteps - 1)


def _classes(networks: Networks, batch: Batch) -> Tensor | None:
    return class_weights(batch, _checked(networks).num_classes)


def _checked(networks: Networks) -> TakesNoiseAway:
    network = networks["model"]
    if isinstance(network, TakesNoiseAway) and isinstance(network.num_classes, int):
        return network
    rule = f"requires a model that takes noise away, and {type(network).__name__} does not"
    raise ConfigError.one("task", "diffusion", rule, "Use model=diffusion", code="incompatible-data")
