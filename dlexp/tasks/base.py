"""The interface of a kind of learning: its phases, its loss, its prediction, its metrics and its report.

Symbols: B samples in a batch.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp.kinds import describe_kind
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.prediction_columns import PredictionColumns, prediction_columns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import LossState, MetricState
from dlexp.specs import DataSpec
from dlexp.types import Batch, Field, LossOutput, Prediction, Sequences, TimesOf

Networks = Mapping[str, nn.Module]
_TASKS = {
    "class": "classification",
    "value": "regression",
    "tokens": "seq2seq",
    "forecast": "forecasting",
    "captions": "contrastive",
    "image": "super_resolution",
}  # kind of targets -> the task that learns them


def forward(network: nn.Module, field: Field) -> Tensor:
    """The output of `network` for inputs of any kind.

    A tensor is its one argument, `Sequences` are two, (values, lengths), and several tensors come by their names.
    Raises TypeError for an output that is not a tensor.
    """
    found: object
    if isinstance(field, Tensor):
        found = network(field)
    elif isinstance(field, Sequences):
        found = network(field.values, field.lengths)
    else:
        found = network(**field)
    if not isinstance(found, Tensor):
        raise TypeError(f"its output must be a tensor, got {'None' if found is None else type(found).__name__}")
    return found


@runtime_checkable
class AnswersTexts(Protocol):
    """A task whose predictions can compare samples with texts."""

    def ask(self, queries: Sequence[str]) -> None:
        """Let predictions do so. Raises ConfigError for a text without a known token."""


def other_targets(task: str, wanted: str, spec: DataSpec) -> ValueError:
    """The error for data whose targets are of another kind than `task` needs."""
    fitting = _TASKS.get(spec.target_kind)
    remedy = f" Set task={fitting}." if fitting else ""
    return ValueError(f"{task} requires {wanted}, and these targets are {describe_kind(spec.target_kind)}.{remedy}")


@dataclass(frozen=True)
class Phase:
    """A part of an update: its own loss, and the networks that its own optimizer updates by it.

    Args:
        networks: Names of the networks that the phase updates.
        every: The phase runs in every so many-th update of the run only, in the last of them. 1 for each update.
        repeat: How often it runs in such an update, on the same batches with other random numbers each time. For fresh
            batches each time, let the other phases run with `every`.

    Raises ValueError for a number below 1.
    """

    networks: tuple[str, ...]
    every: int = 1
    repeat: int = 1

    def __post_init__(self) -> None:
        for name in ("every", "repeat"):
            if getattr(self, name) < 1:
                raise ValueError(f"Phase.{name} must be 1 or more, got {getattr(self, name)}")

    def runs_in(self, step: int) -> bool:
        """Whether the phase runs in the update after `step` earlier ones."""
        return (step + 1) % self.every == 0


class Task(ABC):
    """The meaning of training; the engine runs every task alike.

    phases             name -> the networks that it updates and how often, in the order in which an update runs them;
                       at least one runs in every update
    metrics            name -> min or max, for everything that `metric_state().compute()` returns
    extra_metrics      name -> min or max, for metrics that an epoch computes only when one of them is monitored
    mixes              true where `loss` supports a batch whose samples were mixed (`Batch.mixed`)
    training_networks  names of those `own_networks` that training alone needs: they are no part of the trained model
    """

    phases: Mapping[str, Phase] = {"train": Phase(("model",))}
    metrics: ClassVar[Mapping[str, str]] = {"loss": "min"}
    extra_metrics: ClassVar[Mapping[str, str]] = {}
    mixes: ClassVar[bool] = False
    training_networks: ClassVar[tuple[str, ...]] = ()

    def around(self, network: nn.Module) -> nn.Module:
        """The model as it is trained and exported: `network` itself, or one that computes something around it."""
        return network

    def own_networks(self) -> Networks:
        """Networks that come with the task and not with the model, by names that the model does not use."""
        return {}

    def loss_weight(self, phase: str, batch: Batch) -> int | Tensor:
        """How many terms the loss of `batch` is a mean of: B samples, unless a task counts tokens or pixels.

        A tensor has shape (). Batches that are accumulated, and those of an epoch's mean, count by it.
        """
        return len(batch)

    def begin_phase(self, epoch: int, step: int) -> None:
        """Called before each phase of an update, for what changes in the course of a run; by default nothing does.

        Args:
            epoch: Epochs finished.
            step: Updates made. What follows must be a function of the two alone, so that a resumed run is the same.
        """
        return

    @abstractmethod
    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The loss of `batch` in `phase`, a mean over the terms of `loss_weight`; finite where there are none."""

    @abstractmethod
    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The outputs of the networks for `batch`, and the loss without penalties or smoothing of the inputs."""

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """An empty state of `metrics`, and of those of `extra_metrics` that `names` has; of the loss by default.

        Raises ConfigError for a name that this task can never compute as it is configured.
        """
        return LossState()

    def report_state(self) -> MetricState:
        """An empty state whose `compute` returns `metrics`, and which keeps what `report` is made of."""
        return self.metric_state()

    def sample_state(self, keeps_outputs: bool = False) -> MetricState | None:
        """An empty state of every sample, for the metrics of `metrics=[...]`: a ClassSampleState or ValueSampleState.

        None where the task has neither: then only functions of the user are computed, from its outputs and targets.

        Args:
            keeps_outputs: Whether the outputs of every sample are required, and not its results alone.
        """
        return None

    def refusal(self, name: str) -> tuple[str, str] | None:
        """(rule, remedy) for a metric of `metrics=[...]` that this task cannot compute as it is configured."""
        return None

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The report of an evaluation; by default the metrics alone.

        Args:
            spec: the data that the networks were trained on.
            state: one that `report_state` gave, with at least one sample.
            resampling: how intervals are made; None makes none.
        """
        return Report(state.compute())

    def report_beside(
        self,
        spec: DataSpec,
        state: MetricState,
        resampling: Resampling | None,
        references: Mapping[str, NDArray[np.float64]],
        times: TimesOf | None = None,
    ) -> Report:
        """The report beside forecasts that need no network, `DataBundle.references`; by default without them.

        Args:
            spec: as for `report`.
            state: as for `report`.
            resampling: as for `report`.
            references: name -> forecasts of the samples in the order of their split.
            times: `DataBundle.times`, None where nobody knows them.
        """
        return self.report(spec, state, resampling)

    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """What needs no network: a name for it -> metric -> its value on `split`; by default nothing."""
        return {}

    def extra_metrics_of(self, monitor: str) -> tuple[str, ...]:
        """The extra metrics that an epoch computes so that `monitor`, such as val/roc_auc, can decide."""
        name = monitor.removeprefix("val/")
        return (name,) if name in self.extra_metrics else ()

    def undefined(self, name: str, targets: Tensor) -> str:
        """The reason why the metric `name` has no value on samples with these targets; "" where it has one."""
        return ""

    def num_outputs(self, spec: DataSpec) -> int:
        """The number of outputs of the network for one sample of the data that `spec` describes."""
        return spec.num_outputs

    def decode(self, outputs: Tensor) -> Tensor:
        """The network's outputs (B, num_outputs) as `Prediction.outputs` has them."""
        return outputs

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """The columns of `dlexp predict`, for samples without targets."""
        return prediction_columns(spec, prediction)


def reads_targets(network: nn.Module) -> bool:
    """Whether `network` takes values and lengths of a source and of the target so far."""
    try:
        inspect.signature(network.forward).bind(*range(4))
    except TypeError:
        return False
    return True
