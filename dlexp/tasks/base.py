"""What a kind of learning must say, and all it must say: its phases, its loss, its prediction.

Symbols: B samples in a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from dlexp.kinds import describe_kind
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.prediction_columns import Answers, answers
from dlexp.metrics.report import Report, report
from dlexp.metrics.states import MetricState
from dlexp.specs import DataSpec
from dlexp.types import Batch, Field, LossOutput, Prediction, Sequences

Networks = Mapping[str, nn.Module]
_TASKS = {"class": "classification", "value": "regression"}  # kind of targets -> the task that learns them


def forward(network: nn.Module, field: Field) -> Tensor:
    """The output of `network` for inputs of any kind.

    A tensor is its one argument, `Sequences` are two, (values, lengths), and several tensors come by their names.
    """
    found: Tensor
    if isinstance(field, Tensor):
        found = network(field)
    elif isinstance(field, Sequences):
        found = network(field.values, field.lengths)
    else:
        found = network(**field)
    return found


def other_targets(task: str, wanted: str, spec: DataSpec) -> ValueError:
    """The error for data whose targets are of another kind than `task` needs."""
    fitting = _TASKS.get(spec.target_kind)
    remedy = f"; choose task={fitting}" if fitting else ""
    return ValueError(f"{task} needs {wanted}, and this data holds {describe_kind(spec.target_kind)}{remedy}")


@dataclass(frozen=True)
class Phase:
    """A part of an update: a loss of its own, and the networks that an optimizer of its own updates by it.

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
    """The meaning of training; the engine gives it time and never asks which task it has.

    phases   name -> the networks that it updates and how often, in the order in which an update runs them; at least one
             runs in every update
    metrics  name -> min or max, for everything that `metric_state().compute()` returns
    on_request  name -> min or max, for what `requested` computes and no epoch pays for unless it is monitored
    mixes    whether `loss` knows what to do with a batch whose samples were mixed (`Batch.mixed`)
    """

    phases: Mapping[str, Phase] = {"train": Phase(("model",))}
    metrics: ClassVar[Mapping[str, str]]
    on_request: ClassVar[Mapping[str, str]] = {}
    mixes: ClassVar[bool] = False

    def own_networks(self) -> Networks:
        """Networks that come with the task and not with the model, by names that the model's have not."""
        return {}

    def loss_weight(self, phase: str, batch: Batch) -> int | Tensor:
        """How many terms the loss of `batch` is a mean of: B samples, unless a task counts tokens or pixels.

        A tensor has shape (). Batches that are accumulated, and those of an epoch's mean, count by it.
        """
        return len(batch)

    @abstractmethod
    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The loss of `batch` in `phase`, a mean over the terms of `loss_weight`; finite where there are none."""

    @abstractmethod
    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """What the networks say of `batch`, and the loss without penalties or smoothing of the inputs."""

    @abstractmethod
    def metric_state(self) -> MetricState:
        """An empty state for the metrics of one evaluation."""

    def requested(self, names: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float]:
        """Those of `on_request` that `names` has, over all `predictions`, at least one; NaN where undefined.

        Raises ConfigError for one that this task can never compute as it is configured.
        """
        raise NotImplementedError(f"{type(self).__name__} computes no {', '.join(names)}")

    def on_request_of(self, monitor: str) -> tuple[str, ...]:
        """What an epoch must compute beside `metrics` so that `monitor`, such as val/roc_auc, is there."""
        name = monitor.removeprefix("val/")
        return (name,) if name in self.on_request else ()

    def undefined(self, name: str, targets: Tensor) -> str:
        """Why no prediction can give the metric `name` a value on samples with these targets; "" where one can."""
        return ""

    def num_outputs(self, spec: DataSpec) -> int:
        """How many numbers the network puts out for one sample of the data that `spec` describes."""
        return spec.num_outputs

    def read(self, outputs: Tensor) -> Tensor:
        """The network's numbers (B, num_outputs) as `Prediction.outputs` has them."""
        return outputs

    def answers(self, spec: DataSpec, prediction: Prediction) -> Answers:
        """What is told of samples whose targets nobody knows."""
        return answers(spec, prediction)

    def report(self, spec: DataSpec, predictions: Sequence[Prediction], resampling: Resampling | None = None) -> Report:
        """What an evaluation writes down, from all `predictions`, at least one; with intervals by `resampling`."""
        return report(spec, predictions, resampling)
