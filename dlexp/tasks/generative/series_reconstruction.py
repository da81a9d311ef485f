"""Reconstruction of series: the model learns to put out its own steps through a narrow middle.

Source: P. Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", arXiv:1607.00148.

Symbols: B samples in a batch, T steps of the longest series, C channels, Z latent numbers, N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks
from dlexp.tasks.generative.base import AT_STEPS, GenerativeTask, Sampling
from dlexp.types import Batch, LossOutput, Prediction, Sequences

__all__ = ["SeriesReconstruction"]

_WORST = "worst_step_error"
_SCORES = {"series": "reconstruction", "step": _WORST}


@runtime_checkable
class SeriesAutoencoder(Protocol):
    """A network of two halves for series."""

    def encode(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, Z)."""

    def decode(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """(B, Z) -> (B, steps, C), as many as the longest series has where `steps` is None."""


class SeriesReconstruction(GenerativeTask):
    """Mean squared error between the steps of a series and those put out, a mean over its own steps and channels.

    Args:
        spec: Of the data.
        loss: None of its own: loss=none.
        score_by: What a series is scored by: series (its mean error), step (the error of its worst step, for what is
            short).
    """

    metrics = {"loss": "min", "reconstruction": "min"}
    values = ("reconstruction",)

    def __init__(self, *, spec: DataSpec, loss: nn.Module, score_by: str = "series") -> None:
        """Raises ValueError for inputs that are no series, and for an unknown `score_by`."""
        del loss  # it compares inputs with outputs
        if not isinstance(spec.inputs, SeriesSpec):
            rule = f"task=series_reconstruction requires series, not {spec.inputs.kind}"
            raise ValueError(f"{rule}. Set task=reconstruction model=autoencoder")
        super().__init__(spec=spec)
        if score_by not in _SCORES:
            raise ValueError(f"unknown score_by={score_by!r}; available: {', '.join(_SCORES)}")
        self._score = _SCORES[score_by]

    @property
    def score(self) -> str:
        """The reconstruction error, or that of the worst step."""
        return self._score

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the series of their errors."""
        given = _series(batch)
        found = cast(Tensor, networks["model"](given.values, given.lengths))
        return LossOutput(_whole(_at_steps(found, given), given).mean())

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The steps put out, the error of each series and of each of its steps, and its latents."""
        network, given = _checked(networks), _series(batch)
        latents = network.encode(given.values, given.lengths)
        found = network.decode(latents, given.values.shape[1])
        steps = _at_steps(found, given)
        errors = _whole(steps, given)
        targets = batch.targets if isinstance(batch.targets, Tensor) and batch.targets.ndim == 1 else None
        extra = {"reconstruction": errors, _WORST: steps.amax(1), LATENTS: latents, AT_STEPS: steps}
        return Prediction(found, targets, errors.mean(), batch.indices, extra)

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """(B, Z)."""
        given = _series(batch)
        return _checked(networks).encode(given.values, given.lengths)

    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """(N, Z) -> (N, T, C)."""
        return _checked(networks).decode(latents)

    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """The mean of each channel over the training steps as the reconstruction of every step."""
        count, total = 0, torch.zeros((), dtype=torch.float64)
        for batch in training:
            given = _series(batch)
            own = given.values[given.mask].cpu().double()
            count, total = count + len(own), total + own.sum(0)
        mean, apart, samples = total / max(1, count), 0.0, 0
        for batch in split:
            given = _series(batch)
            guess = mean.to(given.values.dtype).to(given.values.device).expand_as(given.values)
            apart += float(_whole(_at_steps(guess, given), given).double().sum())
            samples += len(batch)
        return {"mean of the training steps": {"loss": apart / samples, "reconstruction": apart / samples}}

    def report_state(self) -> MetricState:
        """The metrics, and the error and latents of every series."""
        return StateGroup(self.metric_state(), SampleValues(self.values, LATENTS))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The error of each series with the interval of its mean, the worst ones, and the latents."""
        return sample_report(spec, state.part(SampleValues), state.compute(), resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The error of each series, that of its worst step, which one that is, and its latents z0, z1, ..."""
        errors = prediction.extra["reconstruction"].double().cpu().tolist()
        worst = prediction.extra[AT_STEPS].argmax(1).cpu().tolist()
        latents = prediction.extra[LATENTS].double().cpu().T.tolist()
        largest = prediction.extra[_WORST].double().cpu().tolist()
        columns = {"reconstruction": errors, _WORST: largest, "worst_step": worst}
        return PredictionColumns({**columns, **{f"z{n}": column for n, column in enumerate(latents)}})


def _series(batch: Batch) -> Sequences:
    assert isinstance(batch.inputs, Sequences)
    return batch.inputs


def _at_steps(outputs: Tensor, given: Sequences) -> Tensor:
    """(B, T) the mean over the channels of the squared differences; 0 behind the end of a series."""
    return (outputs.float() - given.values).square().mean(2) * given.mask


def _whole(at_steps: Tensor, given: Sequences) -> Tensor:
    """(B,) the mean over the steps of each series."""
    return at_steps.sum(1) / given.lengths.clamp(min=1).to(at_steps.device)


def _checked(networks: Networks) -> SeriesAutoencoder:
    network = networks["model"]
    if isinstance(network, SeriesAutoencoder):
        return network
    rule = f"requires a model that encodes and decodes series, and {type(network).__name__} does not"
    raise ConfigError.one("task", "series_reconstruction", rule, "Use model=lstm_autoencoder", code="incompatible-data")
