"""Reconstruction by an autoencoder: the model learns to put out its own input through a narrow middle.

Sources: G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313
(2006); denoising: P. Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML
2008; sparse: A. Ng, "Sparse autoencoder", CS294A lecture notes (2011).

Symbols: B samples in a batch, N samples, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.generative.latents import LATENTS
from dlexp.metrics.generative.sample_values import SampleValues
from dlexp.metrics.reports.generative import sample_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.generative.base import GenerativeTask, Sampling, means
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["Reconstruction"]

_SMALLEST = 1e-6  # of an activation whose logarithm is taken


@runtime_checkable
class Autoencoder(Protocol):
    """A network of two halves; its output is the second after the first."""

    def encode(self, inputs: Tensor) -> Tensor:
        """(B, *shape) -> (B, Z)."""

    def decode(self, latents: Tensor) -> Tensor:
        """(B, Z) -> (B, *shape)."""


class Reconstruction(GenerativeTask):
    """Mean squared error between inputs and outputs, a mean over a sample's numbers.

    Noise and sparsity are of training alone: an evaluation compares clean inputs with their reconstructions.

    Args:
        spec: Of the data.
        loss: None of its own: loss=none.
        corruption: What is done to inputs in training, whose targets stay clean: none; gaussian (noise is added);
            masking (numbers become 0: black, or the mean of a column).
        corruption_level: Standard deviation of the noise in the range of the inputs, or the share that is masked.
        sparsity: What the latents cost: none; l1 (the sum of their sizes); kl (how far the mean of each over a batch,
            in (0, 1), is from `sparsity_target`).
        sparsity_weight: Weight of that cost.
        sparsity_target: Mean activation of a latent with sparsity=kl.
    """

    metrics = {"loss": "min", "reconstruction": "min"}
    values = ("reconstruction",)

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        corruption: str = "none",
        corruption_level: float = 0.3,
        sparsity: str = "none",
        sparsity_weight: float = 1e-3,
        sparsity_target: float = 0.05,
    ) -> None:
        """Raises ValueError for an unknown corruption or sparsity, and for a masked share above 1."""
        del loss  # it compares inputs with outputs
        super().__init__(spec=spec)
        _refuse_unknown("corruption", corruption, ("none", "gaussian", "masking"))
        _refuse_unknown("sparsity", sparsity, ("none", "l1", "kl"))
        if corruption == "masking" and corruption_level > 1:
            rule = f"task.corruption_level={corruption_level:g} must be at most 1 with task.corruption=masking"
            raise ValueError(f"{rule}. Set task.corruption_level=0.3")
        self._corruption, self._level = corruption, corruption_level
        self._sparsity, self._weight, self._target = sparsity, sparsity_weight, sparsity_target

    @property
    def score(self) -> str:
        """The reconstruction error."""
        return "reconstruction"

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples of their squared error, and what sparsity costs."""
        inputs = as_tensor(batch.inputs)
        given = self._corrupted(inputs)
        if self._sparsity == "none":
            errors = _errors(cast(Tensor, networks["model"](given)), inputs)
            return LossOutput(errors.mean(), means({"reconstruction": errors}) if given is not inputs else {})
        network = _checked(networks)
        latents = network.encode(given)
        errors, cost = _errors(network.decode(latents), inputs), self._sparsity_cost(latents.float())
        parts = {**means({"reconstruction": errors}), "sparsity": cost.detach()}
        return LossOutput(errors.mean() + self._weight * cost, parts)

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The reconstructions, the error of each sample, and its latents.

        Raises ConfigError for sparsity=kl of latents outside of [0, 1].
        """
        network, inputs = _checked(networks), as_tensor(batch.inputs)
        latents = network.encode(inputs)
        if self._sparsity == "kl" and latents.numel() and (latents.amin() < 0 or latents.amax() > 1):
            rule, remedy = "requires latent numbers in (0, 1)", "Set model.latent_activation=sigmoid"
            raise ConfigError.one("task.sparsity", "kl", rule, remedy, code="incompatible-data")
        found = network.decode(latents)
        errors = _errors(found, inputs)
        targets = None if batch.targets is None else as_tensor(batch.targets)
        extra = {"reconstruction": errors, LATENTS: latents}
        return Prediction(found, targets, errors.mean(), batch.indices, extra)

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """(B, Z)."""
        return _checked(networks).encode(as_tensor(batch.inputs))

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, Z) -> (N, *shape)."""
        return _checked(networks).decode(latents)

    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """The mean training sample as the reconstruction of every sample."""
        count, total = 0, torch.zeros((), dtype=torch.float64)
        for batch in training:
            count, total = count + len(batch), total + as_tensor(batch.inputs).cpu().double().sum(0)
        mean, apart, samples = total / count, 0.0, 0
        for batch in split:
            inputs = as_tensor(batch.inputs).cpu().double()
            apart += float((inputs - mean).square().flatten(1).mean(1).sum())
            samples += len(batch)
        return {"mean of the training samples": {"loss": apart / samples, "reconstruction": apart / samples}}

    def report_state(self) -> MetricState:
        """The metrics, and the error and latents of every sample."""
        return StateGroup(self.metric_state(), SampleValues(self.values, LATENTS))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The error of each sample with the interval of its mean, the worst ones, and the latents."""
        return sample_report(spec, state.part(SampleValues), state.compute(), resampling, has_reconstructions=True)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The error of each sample, and its latents z0, z1, ..."""
        errors = prediction.extra["reconstruction"].double().cpu().tolist()
        latents = prediction.extra[LATENTS].double().cpu().flatten(1).T.tolist()
        return PredictionColumns({"reconstruction": errors, **{f"z{n}": column for n, column in enumerate(latents)}})

    def _corrupted(self, inputs: Tensor) -> Tensor:
        """`inputs` with noise; themselves without."""
        if self._corruption == "gaussian":
            return inputs + self._level * torch.randn_like(inputs)
        if self._corruption == "masking":
            return inputs * (torch.rand_like(inputs) >= self._level)
        return inputs

    def _sparsity_cost(self, latents: Tensor) -> Tensor:
        """() of latents (B, Z)."""
        if self._sparsity == "l1":
            return latents.abs().sum(1).mean()
        mean, target = latents.mean(0).clamp(_SMALLEST, 1 - _SMALLEST), self._target
        return (target * (log(target) - mean.log()) + (1 - target) * (log(1 - target) - (1 - mean).log())).sum()


def _errors(outputs: Tensor, inputs: Tensor) -> Tensor:
    """(B,) the mean over a sample's numbers of their squared differences."""
    return (outputs.float() - inputs).square().flatten(1).mean(1)


def _refuse_unknown(key: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(f"unknown {key}={given!r}; available: {', '.join(known)}")


def _checked(networks: Networks) -> Autoencoder:
    network = networks["model"]
    if isinstance(network, Autoencoder):
        return network
    rule = f"requires a model that encodes and decodes, and {type(network).__name__} does not"
    raise ConfigError.one("task", "reconstruction", rule, "Use model=autoencoder", code="incompatible-data")
