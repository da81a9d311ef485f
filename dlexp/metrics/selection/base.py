"""A metric of a run beside those of its task, and the state that keeps what it needs.

Symbols: N samples, C classes, O targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

from torch import Tensor

from dlexp.metrics.bootstrap import Interval, Resampling
from dlexp.metrics.class_samples import ClassSamples, ClassSampleState
from dlexp.metrics.regression import ValueSamples, ValueSampleState
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.selection.request import MetricRequest
from dlexp.metrics.states import MetricState, State
from dlexp.types import Prediction

Known = Mapping[str, Interval]
NO_INTERVAL = Interval(None, None, 0, "there is no method for it", "")


class SplitSamples:
    """All samples of a split, as the metrics of a run read them.

    classes  of a task that predicts classes, otherwise None
    values   of a task that predicts values, otherwise None
    extra    name -> more values of each target (N, O), such as quantiles
    outputs, targets  of any other task: as in Prediction, all samples in one array each
    """

    def __init__(self, state: MetricState) -> None:
        """Read the samples of a state. Raises ValueError when there are none."""
        self.classes: ClassSamples | None = None
        self.values: ValueSamples | None = None
        self.extra: Mapping[str, Any] = {}
        self.outputs: Any = None
        self.targets: Any = None
        if isinstance(state, ClassSampleState):
            self.classes = state.samples()
        elif isinstance(state, ValueSampleState):
            self.values, self.extra = state.samples(), state.extra()
        else:
            assert isinstance(state, OutputState)
            self.outputs, self.targets = state.samples()


class SelectedMetric(ABC):
    """A metric that a run names, of all samples of a split.

    keeps_outputs  true where the results of each sample are not enough: the C outputs of every sample are kept
    """

    keeps_outputs = False

    def __init__(self, request: MetricRequest) -> None:
        self.request = request

    @property
    def name(self) -> str:
        """Its name in the log, without the split."""
        return self.request.name

    @abstractmethod
    def value(self, samples: SplitSamples) -> float:
        """Its value, NaN where it is undefined."""

    def undefined(self, targets: Tensor) -> str:
        """The reason why it has no value on samples with these targets, whatever is predicted; "" where it has one."""
        return ""

    def why(self, samples: SplitSamples) -> str:
        """The reason why it has no value on these samples."""
        return "it is not a finite number"

    @abstractmethod
    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """Its interval, where it has a value.

        Args:
            samples: The samples.
            resampling: How it is made.
            known: Intervals of the metrics of the report.
        """


class SelectionState(MetricState):
    """The samples of a split, and the metrics that a run names beside those of its task."""

    def __init__(self, samples: MetricState, metrics: Sequence[SelectedMetric]) -> None:
        self._samples, self._metrics = samples, tuple(metrics)

    def update(self, prediction: Prediction) -> None:
        """Add a batch."""
        self._samples.update(prediction)

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        self._samples.merge(other._samples)

    def compute(self) -> dict[str, float]:
        """The metrics; NaN for one that is undefined."""
        if not self._metrics:
            return {}
        samples = SplitSamples(self._samples)
        return {metric.name: metric.value(samples) for metric in self._metrics}

    def part(self, kind: type[State]) -> State:
        """The state of the samples, where it is a `kind`."""
        return self._samples if isinstance(self._samples, kind) else super().part(kind)


class OutputState(MetricState):
    """Outputs and targets of every sample, for a task of any kind: as many bytes as they have, kept to the end."""

    def __init__(self) -> None:
        self._outputs, self._targets = RowStore[Any](), RowStore[Any]()

    def update(self, prediction: Prediction) -> None:
        """Add a batch: outputs (B, ...) and targets (B, ...) of any shape; bfloat16 and float16 become float32."""
        self._outputs.append(_array(prediction.outputs))
        self._targets.append(_array(prediction.known_targets))

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        self._outputs.extend(other._outputs)
        self._targets.extend(other._targets)

    def compute(self) -> dict[str, float]:
        """No metric."""
        return {}

    def samples(self) -> tuple[Any, Any]:
        """(outputs, targets) of all samples, (N, ...) each. Raises ValueError when there are none."""
        if not len(self._outputs):
            raise ValueError("no sample was evaluated")
        return self._outputs.joined(), self._targets.joined()


def _array(given: Tensor) -> Any:
    wide = given.float() if given.is_floating_point() and given.element_size() < 4 else given
    return wide.cpu().numpy()
