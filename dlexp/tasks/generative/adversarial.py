"""Adversarial training: a generator makes samples, a discriminator tells them from data, each learns of the other.

Source: I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, arXiv:1406.2661; the objectives and penalties
have theirs in `dlexp.losses.adversarial`.

Symbols: B samples in a batch, N samples that are made, Z latent numbers, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.adversarial import (
    OBJECTIVES,
    discriminator_losses,
    generator_losses,
    gradient_norms,
    points_between,
)
from dlexp.metrics.generative.energy_distance import EnergyDistance
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.states import MetricState
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Phase
from dlexp.tasks.generative.base import ExportedPart, GenerativeTask, Sampling, class_weights, noise
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Adversarial"]

_SMOOTHED = ("non_saturating", "least_squares")
_MIDDLE = {"non_saturating": 0.0, "least_squares": 0.5, "hinge": 0.0}  # the score between samples and data
_EVALUATION = 0  # seed of the noise that every epoch of every run is judged by


@runtime_checkable
class MakesSamples(Protocol):
    """A generator: (B, Z) noise and (B, C) weights of classes, or None, -> (B, *shape).

    Attributes:
        latent: Z.
        num_classes: C, 0 for a generator without classes.
    """

    latent: int
    num_classes: int


class Adversarial(GenerativeTask):
    """Two phases: the discriminator learns on data and fresh samples, then the generator on new samples.

    With n steps of the discriminator for each of the generator, each of the n has a batch of its own.

    Args:
        spec: The data.
        loss: Not used.
        objective: non_saturating, wasserstein, least_squares or hinge.
        penalty: none, gradient (norm 1 between data and samples), or r1 (norm 0 at data).
        penalty_weight: Its factor; that of r1 is halved, as published.
        critic_steps: Updates of the discriminator for each of the generator.
        real_smoothing: The target of data is 1 - real_smoothing.

    Raises ConfigError for a smoothing without effect.
    """

    metrics = {"energy_distance": "min"}

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        objective: str = "non_saturating",
        penalty: str = "none",
        penalty_weight: float = 10.0,
        critic_steps: int = 1,
        real_smoothing: float = 0.0,
    ) -> None:
        del loss  # the discriminator is the loss
        super().__init__(spec=spec)
        if objective not in OBJECTIVES:
            raise ValueError(f"unknown objective={objective!r}; available: {', '.join(OBJECTIVES)}")
        if real_smoothing and objective not in _SMOOTHED:
            rule = f"has no effect with task.objective={objective}, whose scores have no target"
            remedy = "Set task.real_smoothing=0"
            raise ConfigError.one("task.real_smoothing", real_smoothing, rule, remedy, code="no-effect")
        self.objective, self.penalty, self.penalty_weight = objective, penalty, penalty_weight
        self.real_smoothing = real_smoothing
        self.phases = {
            "discriminator": Phase(("discriminator",)),
            "generator": Phase(("generator",), every=critic_steps),
        }

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The loss of the discriminator with its penalty, or of the generator.

        Parts of the discriminator: `real` and `fake`, the summands of its loss; `penalty`, weighted; and `accuracy`,
        the share of scores on the right side, or of wasserstein `distance`, how far data is scored above samples.
        """
        generator, discriminator, classes = self._parts(networks, batch)
        drawn = torch.randn(len(batch), generator.latent, device=as_tensor(batch.inputs).device)
        if phase == "generator":
            made = _made(generator, drawn, classes)
            with without_gradients(discriminator):
                scores = discriminator(made, classes)
            return LossOutput(generator_losses(self.objective, scores.float()).mean())
        data = as_tensor(batch.inputs)
        with torch.no_grad():
            made = _made(generator, drawn, classes)
        of_data, of_made = (discriminator(inputs, classes).float() for inputs in (data, made))
        real, fake = discriminator_losses(self.objective, of_data, of_made, self.real_smoothing)
        value = real.mean() + fake.mean()
        parts = {"real": real.detach(), "fake": fake.detach(), **self._observed(of_data.detach(), of_made.detach())}
        if self.penalty != "none":
            penalty = self._penalty(discriminator, data, made, classes)
            value, parts["penalty"] = value + penalty, penalty.detach()
        return LossOutput(value, parts)

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Samples from noise that is always the same, of the classes of the data; the scores of the data in `extra`."""
        generator, discriminator, classes = self._parts(networks, batch)
        data = as_tensor(batch.inputs)
        sampling = Sampling(_EVALUATION, batch.indices, classes)
        latents = noise((generator.latent,), _EVALUATION, batch.indices, "validation").to(data.device)
        made = self.decoded(networks, latents, sampling).float()
        if classes is None and generator.num_classes:
            classes = data.new_zeros(len(batch), generator.num_classes)
        scores = discriminator(data, classes).float()
        real, fake = discriminator_losses(self.objective, scores, discriminator(made, classes).float())
        extra = {"inputs": data, "score": scores}
        return Prediction(made, None, (real + fake).mean(), batch.indices, extra)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """The energy distance between samples and data."""
        return EnergyDistance()

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The score of the discriminator, larger for what looks like data."""
        return PredictionColumns({"score": prediction.extra["score"].double().cpu().tolist()})

    def options(self, networks: Networks) -> frozenset[str]:
        """Classes, where the generator is conditional."""
        return frozenset({"classes"} if _pair(networks)[0].num_classes else ())

    def noise_shape(self, networks: Networks) -> tuple[int, ...]:
        """(Z,)."""
        return (_pair(networks)[0].latent,)

    def exported(self, networks: Networks) -> ExportedPart:
        """The generator, from noise and the weights of the classes behind it."""
        generator = _pair(networks)[0]
        classes = f", then a weight of each of {generator.num_classes} classes" if generator.num_classes else ""
        what = f"samples in the range of the network, made of {generator.latent} standard normal numbers{classes}"
        return ExportedPart(_FromNoise(generator), (generator.latent + generator.num_classes,), what)

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, Z) -> (N, *shape); without classes, a conditional generator makes them in turn by the sample's number."""
        generator, classes = _pair(networks)[0], sampling.classes
        if generator.num_classes and classes is None:
            classes = F.one_hot(sampling.indices % generator.num_classes, generator.num_classes).float()
        return _made(generator, latents, None if classes is None else classes.to(latents.device))

    def _parts(self, networks: Networks, batch: Batch) -> tuple[MakesSamples, nn.Module, Tensor | None]:
        """Generator, discriminator, and the classes where the generator takes them."""
        generator, discriminator = _pair(networks)
        if self.penalty != "none":
            _refuse_batch_norm(discriminator, self.penalty)
        return generator, discriminator, class_weights(batch, generator.num_classes)

    def _observed(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Whether each score (B,) is on the right side of the middle, (2B,); of wasserstein the distance (B,)."""
        middle = _MIDDLE.get(self.objective)
        if middle is None:
            return {"distance": real - fake}
        return {"accuracy": torch.cat([real > middle, fake < middle])}

    def _penalty(self, discriminator: nn.Module, data: Tensor, made: Tensor, classes: Tensor | None) -> Tensor:
        """Shape (), in float32; past a compiled network, which has no second derivative."""

        def score(inputs: Tensor) -> Tensor:
            return cast(Tensor, discriminator.forward(inputs, classes))

        with torch.autocast(data.device.type, enabled=False):
            data, made = data.float(), made.float()
            if self.penalty == "r1":
                return 0.5 * self.penalty_weight * gradient_norms(score, data).square().mean()
            norms = gradient_norms(score, points_between(data, made))
            return self.penalty_weight * (norms - 1).square().mean()


class _FromNoise(nn.Module):
    """A generator whose noise (B, Z) and weights of classes (B, C) are one tensor (B, Z + C)."""

    def __init__(self, generator: MakesSamples) -> None:
        super().__init__()
        self.generator = cast(nn.Module, generator)
        self.latent, self.num_classes = generator.latent, generator.num_classes

    def forward(self, given: Tensor) -> Tensor:
        """(B, Z + C) -> (B, *shape)."""
        noise, classes = given.split([self.latent, self.num_classes], dim=1)
        return _made(cast(MakesSamples, self.generator), noise, classes)


def _made(generator: MakesSamples, latents: Tensor, classes: Tensor | None) -> Tensor:
    return cast(Tensor, cast(nn.Module, generator)(latents, classes if generator.num_classes else None))


def _pair(networks: Networks) -> tuple[MakesSamples, nn.Module]:
    """Generator and discriminator. Raises ConfigError for another model."""
    generator, discriminator = networks.get("generator"), networks.get("discriminator")
    if isinstance(generator, nn.Module) and isinstance(generator, MakesSamples) and discriminator is not None:
        return generator, discriminator
    rule = f"requires a model of a generator and a discriminator, got {', '.join(networks)}"
    raise ConfigError.one("task", "adversarial", rule, "Use model=gan", code="incompatible-data")


def _refuse_batch_norm(discriminator: nn.Module, penalty: str) -> None:
    """Raise ConfigError for a discriminator whose gradient at a sample depends on the others of the batch."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in discriminator.modules()):
        rule = "requires scores of each sample alone, and batch normalization mixes those of a batch"
        remedy = "Set model.discriminator_norm=none, or layer"
        raise ConfigError.one("task.penalty", penalty, rule, remedy, code="cannot-combine")


@contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """In the body, what `network` computes has gradients for its inputs and not for its weights: a third less work."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
