"""States of metrics: summaries of the samples seen so far, so that no list of all predictions is needed.

A state is fed batch by batch, two of them can be merged, and each can be pickled. So the last short batch, several
processes and the members of an ensemble come out right.

The states here are the few that every epoch needs. They are written here because importing torchmetrics takes longer
than importing torch; a test holds them to scikit-learn's.

Symbols: B batch, C classes, O outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from dlexp.runtime.rounding import power_of_two
from dlexp.types import Prediction

State = TypeVar("State", bound="MetricState")


class MetricState(ABC):
    """A summary of the samples seen so far, of which metrics are computed; it can be pickled."""

    @abstractmethod
    def update(self, prediction: Prediction) -> None:
        """Add the samples of a batch."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add the samples that another state has seen, after those of this one; `other` is not used any more."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Metric name -> value over all samples. Raises ValueError when there were none."""

    def part(self, kind: type[State]) -> State:
        """This state, or that part of it, which is a `kind`. Raises TypeError where there is none."""
        if isinstance(self, kind):
            return self
        raise TypeError(f"the report requires {kind.__name__}, got {type(self).__name__}; build it by report_state()")


class StateGroup(MetricState):
    """Several states that are fed together; `compute` returns the metrics of all of them."""

    def __init__(self, *states: MetricState) -> None:
        self.states = states

    def update(self, prediction: Prediction) -> None:
        """Add a batch to every state."""
        for state in self.states:
            state.update(prediction)

    def merge(self, other: Self) -> None:
        """Merge state by state."""
        for own, more in zip(self.states, other.states, strict=True):
            own.merge(more)

    def compute(self) -> dict[str, float]:
        """The metrics of all states."""
        return {name: value for state in self.states for name, value in state.compute().items()}

    def part(self, kind: type[State]) -> State:
        """The first part that is a `kind`."""
        for state in self.states:
            try:
                return state.part(kind)
            except TypeError:
                continue
        return super().part(kind)


class LossState(MetricState):
    """The mean loss alone: for a task of any kind."""

    def __init__(self) -> None:
        self._loss = Mean()

    def update(self, prediction: Prediction) -> None:
        """Add the loss of a batch."""
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Add another state's loss."""
        self._loss.merge(other._loss)

    def compute(self) -> dict[str, float]:
        """The mean over what the losses are means of: samples, tokens, pixels."""
        return {"loss": self._loss.value()}


class ClassificationState(MetricState):
    """Loss, accuracy, balanced accuracy and macro F1, from three counts of each class."""

    def __init__(self, num_classes: int) -> None:
        # One row each: hits, true and predicted samples of a class. A confusion matrix would have C^2 cells.
        # NumPy counts and divides so few numbers in a third of torch's time.
        self._counts = np.zeros((3, num_classes), dtype=np.int64)
        self._loss = Mean()

    def update(self, prediction: Prediction) -> None:
        """outputs (B, C) probabilities, targets (B,) class numbers; the logits say the class where there are any."""
        scores = prediction.outputs if prediction.logits is None else prediction.logits
        chosen, targets = scores.argmax(dim=1).cpu().numpy(), prediction.known_targets.cpu().numpy()
        for row, kind in zip(self._counts, (targets[chosen == targets], targets, chosen), strict=True):
            row += np.bincount(kind, minlength=len(row))
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Add another state's counts and loss."""
        self._counts += other._counts
        self._loss.merge(other._loss)

    def compute(self) -> dict[str, float]:
        """A class that occurs neither in the targets nor in the predictions is left out of the means."""
        loss = self._loss.value()
        hits, true, predicted = self._counts.astype(np.float64)
        seen, present = true + predicted > 0, true > 0
        f1 = 2 * hits[seen] / (true + predicted)[seen]
        recall = hits[present] / true[present]
        return {
            "loss": loss,
            "accuracy": float(hits.sum() / true.sum()),
            "balanced_accuracy": float(recall.mean()),
            "f1_macro": float(f1.mean()),
        }


class RegressionState(MetricState):
    """Loss, MAE, RMSE and R2, averaged over the outputs; in the target's own units.

    The squares of deviations from the mean are merged batch by batch (Chan, Golub and LeVeque 1983): a difference of
    sums of squares would leave no digit of them where the mean is 1e6 deviations from 0.
    """

    def __init__(self, num_outputs: int, mean: Sequence[float] = (), scale: Sequence[float] = ()) -> None:
        """Begin without samples; states that are merged have the same mean and scale.

        Args:
            num_outputs: O.
            mean: about the mean of each target, () for 0: without it a batch's mean would keep few digits of what the
                targets differ in.
            scale: about their deviation, () for 1, so that squares neither overflow nor vanish.
        """
        self._loss, self._count = Mean(), 0
        self._middle = torch.tensor(mean or [0.0] * num_outputs, dtype=torch.float64)
        factors = [1 / power_of_two(size) for size in scale or [1.0] * num_outputs]
        self._factor = torch.tensor(factors, dtype=torch.float64)  # powers of two: they round nothing
        # One row each: sum |e|, sum e^2; mean of y, sum of (y - mean)^2; least and largest y.
        self._errors, self._spread = torch.zeros(2, 2, num_outputs, dtype=torch.float64)
        self._range = torch.tensor([[torch.inf], [-torch.inf]], dtype=torch.float64).repeat(1, num_outputs)

    def update(self, prediction: Prediction) -> None:
        """outputs (B, O), targets (B, O)."""
        targets = prediction.known_targets.cpu().double()
        errors = (prediction.outputs.cpu().double() - targets) * self._factor
        scaled = (targets - self._middle) * self._factor
        mean = scaled.mean(0)
        self._add(
            torch.stack([errors.abs().sum(0), (errors**2).sum(0)]),
            torch.stack([mean, ((scaled - mean) ** 2).sum(0)]),
            torch.stack([scaled.amin(0), scaled.amax(0)]),
            len(targets),
        )
        self._loss.add(prediction)

    def merge(self, other: Self) -> None:
        """Add the samples of another state of the same mean and scale."""
        self._add(other._errors, other._spread, other._range, other._count)
        self._loss.merge(other._loss)

    def compute(self) -> dict[str, float]:
        """R2 is 0 for an output whose targets are all the same, unless it is predicted exactly (then 1)."""
        loss, count = self._loss.value(), self._count
        absolute, squared = self._errors
        exact = (squared == 0).double()
        r2 = torch.where(self._range[0] < self._range[1], 1 - squared / self._spread[1], exact)
        return {
            "loss": loss,
            "mae": float((absolute / count / self._factor).mean()),
            "rmse": float(((squared / count).sqrt() / self._factor).mean()),
            "r2": float(r2.mean()),
        }

    def _add(self, errors: Tensor, spread: Tensor, extent: Tensor, count: int) -> None:
        """Add `count` samples."""
        if not count:
            return
        before = self._count
        self._count += count
        apart, share = spread[0] - self._spread[0], count / (before + count)
        between = apart**2 * before * share
        self._spread = torch.stack([self._spread[0] + apart * share, self._spread[1] + spread[1] + between])
        self._errors = self._errors + errors
        low, high = torch.minimum(self._range[0], extent[0]), torch.maximum(self._range[1], extent[1])
        self._range = torch.stack([low, high])


class Mean:
    """The mean loss over an evaluation from the means over its batches.

    total, weight  sum of the losses, and of the terms that they are means of (`Prediction.weight`)
    count          samples
    """

    def __init__(self) -> None:
        self.total, self.weight, self.count = 0.0, 0.0, 0

    def add(self, prediction: Prediction) -> None:
        self.total += float(prediction.loss) * prediction.loss_weight
        self.weight += prediction.loss_weight
        self.count += len(prediction.indices)

    def merge(self, other: Mean) -> None:
        """Add the batches of another mean."""
        self.total += other.total
        self.weight += other.weight
        self.count += other.count

    def value(self) -> float:
        """The mean. Raises ValueError when there was no sample."""
        if not self.count:
            raise ValueError("no sample was evaluated")
        return self.total / self.weight
