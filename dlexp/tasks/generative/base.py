"""The interface of tasks that learn what inputs are like, and what `dlexp sample`, pictures and scores ask of them.

Everything here is in the network's own numbers: images in the range that the task's file declares (`_range_`), tables
standardized. `dlexp.data.ranges` leads back to pixels, and a table's encoding to its units.

Symbols: B samples in a batch, N samples that are made, Z latent numbers, C classes, S denoising steps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.generative.sample_means import SampleMeans
from dlexp.metrics.generative.sample_values import SampleValues
from dlexp.metrics.reports.generative import sample_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.runtime.seed import generator
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, Prediction, as_tensor

__all__ = ["AT_STEPS", "Anomalies", "Encodes", "ExportedPart", "GenerativeTask", "Sampling", "class_weights", "noise"]

AT_STEPS = "at_steps"  # of Prediction.extra: scores (B, T) of each step of a series, 0 behind its end


@dataclass(frozen=True)
class Sampling:
    """How samples are made from their noise; each of them is a function of (seed, index), not of the others.

    Attributes:
        seed: Of noise beyond the first, such as that of ancestral sampling.
        indices: (N,) int64: number of each sample; samples of equal number and seed are equal.
        classes: (N, C) weights of the classes, a row of zeros for no class; None for no classes.
        steps: Denoising steps, None for the task's own number.
        guidance: Strength of classifier-free guidance, None for the task's own.
        progress: Called with (steps done, steps in all).
    """

    seed: int
    indices: Tensor
    classes: Tensor | None = None
    steps: int | None = None
    guidance: float | None = None
    progress: Callable[[int, int], None] = field(default=lambda done, total: None)


@dataclass(frozen=True)
class ExportedPart:
    """What `dlexp export` writes of a model whose use is not to read inputs.

    Attributes:
        network: (B, *input_shape) -> a tensor; or several such arguments by name.
        input_shape: Of one sample of its input, or of each argument, in their order.
        what: Meaning of input and output.
    """

    network: nn.Module
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]
    what: str


class GenerativeTask(Task):
    """A task that learns the distribution of inputs; targets are conditions where the model has them, else ignored.

    Samples, latents and scores are made in evaluation mode and without gradients, which the caller sets.

    values  keys of `Prediction.extra` that every sample has, such as its reconstruction error, larger for worse ones;
            `metrics` has their means, and an evaluation a table of them in the order of the first. () for none
    """

    values: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, spec: DataSpec) -> None:
        self.spec = spec

    def num_outputs(self, spec: DataSpec) -> int:
        """C of data with classes, which conditional models use; else 0."""
        return len(spec.targets.names) if isinstance(spec.targets, ClassSpec) else 0

    @property
    def num_classes(self) -> int:
        """C of the data, 0 without classes."""
        return self.num_outputs(self.spec)

    def options(self, networks: Networks) -> frozenset[str]:
        """What of `Sampling` has an effect with these networks: any of classes, steps, guidance."""
        return frozenset()

    def noise_shape(self, networks: Networks) -> tuple[int, ...] | None:
        """Shape of the standard normal noise of one sample of these networks; None where they only reconstruct."""
        return None

    def exported(self, networks: Networks) -> ExportedPart | None:
        """The part that users of an exported file want; None for the network called model, from inputs."""
        return None

    @abstractmethod
    def decoded(self, networks: Networks, latents: Tensor, sampling: Sampling) -> Tensor:
        """Inputs (N, *shape) made of noise or latents (N, *latent shape)."""

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """The mean loss, and the means of `Prediction.extra` under its names."""
        return SampleMeans(tuple(name for name in (*self.metrics, *names) if name != "loss"))

    def report_state(self) -> MetricState:
        """The metrics, and the `values` of every sample."""
        return StateGroup(self.metric_state(), SampleValues(self.values)) if self.values else self.metric_state()

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The metrics; of `values` the intervals of their means, a table of all samples, and the worst of them."""
        if not self.values:
            return super().report(spec, state, resampling)
        return sample_report(spec, state.part(SampleValues), state.compute(), resampling)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The values of each sample, by name."""
        return PredictionColumns({name: values.double().cpu().tolist() for name, values in prediction.extra.items()})


@runtime_checkable
class Encodes(Protocol):
    """A task that leads from inputs to the latents that `decoded` leads back from."""

    def encoded(self, networks: Networks, batch: Batch) -> Tensor:
        """(B, *latent shape): of a distribution its mean."""


@runtime_checkable
class Anomalies(Protocol):
    """A task that says how unlike the training data a sample is."""

    @property
    def score(self) -> str:
        """Name of the number of `Prediction.extra` that says it; larger is more unlike."""


def noise(shape: Sequence[int], seed: int, indices: Tensor, *purpose: str | int) -> Tensor:
    """(N, *shape) standard normal numbers, those of each index a function of (seed, purpose, index)."""
    drawn = [torch.randn(tuple(shape), generator=generator(seed, "sample", *purpose, n)) for n in indices.tolist()]
    return torch.stack(drawn) if drawn else torch.zeros(0, *shape)


def class_weights(batch: Batch, num_classes: int) -> Tensor | None:
    """(B, C) float32, 1 at the class of each sample; None without classes."""
    if not num_classes or batch.targets is None:
        return None
    return F.one_hot(as_tensor(batch.targets), num_classes).float()


def means(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The means of values of each sample (B,), detached, for the log of training."""
    return {name: values.detach().mean() for name, values in parts.items()}
