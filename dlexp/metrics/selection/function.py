"""A metric that is a function of the user: called with all samples of a split.

Symbols: N samples, C classes, O targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from dlexp.errors import DlexpError
from dlexp.metrics.bootstrap import Interval, Resampling, blocks, interval
from dlexp.metrics.selection.base import Known, SelectedMetric, SplitSamples
from dlexp.metrics.selection.request import MetricRequest

Function = Callable[..., Any]


class FunctionError(DlexpError):
    """The user's function raised an exception, or returned something other than a number.

    Attributes:
        rule: What happened.
        remedy: What to do.
    """

    default_code = "invalid-value"

    def __init__(self, name: str, rule: str, remedy: str = "") -> None:
        self.rule, self.remedy = rule, remedy
        super().__init__(f"metric {name}: {rule}{f'. {remedy}' if remedy else ''}")


class UserMetric(SelectedMetric):
    """A function (predictions, targets) -> a number, NaN where it is undefined.

    Of classes it gets probabilities (N, C), or scores where the loss makes none, and class numbers (N,); of values
    predicted and true values (N, O) in the unit of the target; of any other task the outputs and targets of its
    predictions. All are NumPy arrays of its own. It is not called where a prediction is not finite: then it is NaN.
    """

    keeps_outputs = True

    def __init__(
        self,
        request: MetricRequest,
        function: Function,
        arguments: Mapping[str, Any],
        place: Callable[[BaseException], str],
    ) -> None:
        """Wrap a function.

        Args:
            request: The metric.
            function: The function, or an instance with `__call__`.
            arguments: More arguments by name.
            place: Returns `file:line` of an exception in the user's own code, "" elsewhere.
        """
        super().__init__(request)
        self._function, self._arguments, self._place = function, dict(arguments), place

    def value(self, samples: SplitSamples) -> float:
        """What the function returns. Raises FunctionError for an exception and for what is no number."""
        predictions, targets = function_arrays(samples)
        if not np.isfinite(predictions).all():
            return float("nan")
        return self.called(predictions, targets)

    def why(self, samples: SplitSamples) -> str:
        """The function said so, or predictions that are not finite."""
        predictions, _ = function_arrays(samples)
        finite = np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
        if not finite.all():
            return f"{int((~finite).sum()):,} of {len(finite):,} samples have outputs that are not finite"
        return f"{self.request.target} returned {self.value(samples)}"

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """Percentiles over resamples of the samples, with one call for each; none where a call raises an exception."""
        predictions, targets = function_arrays(samples)
        every, values = np.arange(len(targets)), []
        for counts in blocks(len(targets), resampling.resamples, resampling.seed):
            for row in counts:
                chosen = np.repeat(every, row.astype(np.int64))
                try:
                    values.append(self.called(predictions[chosen], targets[chosen]))
                except FunctionError as error:
                    return Interval(None, None, 0, f"in a resample, {error.rule}", "")
        found = np.asarray(values)
        return interval(np.where(np.isfinite(found), found, np.nan), resampling.level)

    def called(self, predictions: Any, targets: Any) -> float:
        """The function's number. Raises FunctionError."""
        try:
            found = self._function(predictions, targets, **self._arguments)
        except Exception as error:
            place = self._place(error)
            text = str(error).partition("\n")[0]
            rule = f"{self.request.target} raised {type(error).__name__}{f': {text}' if text else ''}"
            remedy = "Set DLEXP_DEBUG=1 to see the traceback."
            raise FunctionError(self.name, f"{rule}{f' ({place})' if place else ''}", remedy) from error
        try:
            if isinstance(found, str) or np.ndim(found):
                raise TypeError
            return float(found)
        except (TypeError, ValueError):
            shape = f" of shape {np.shape(found)}" if np.ndim(found) else ""
            rule = f"{self.request.target} must return one number, got {type(found).__name__}{shape}"
            raise FunctionError(self.name, rule) from None


def function_arrays(samples: SplitSamples) -> tuple[Any, Any]:
    """(predictions, targets) as a function gets them, copies of the samples."""
    if samples.classes is not None:
        outputs, start = samples.classes.outputs, 0
        shown = np.empty((len(samples.classes), outputs.num_classes))
        for block in outputs.blocks():
            shown[start : start + len(block)] = outputs.shown(block)
            start += len(block)
        return shown, samples.classes.targets.copy()
    if samples.values is not None:
        return samples.values.predicted.copy(), samples.values.true.copy()
    return np.array(samples.outputs), np.array(samples.targets)


def trial_classes(targets: Tensor, names: Sequence[str]) -> tuple[Any, Any]:
    """(predictions, targets) that a function is tried on: random probabilities (N, C) for class numbers (N,)."""
    chances = np.random.default_rng(0).random((len(targets), len(names))) + 0.01
    return chances / chances.sum(axis=1, keepdims=True), targets.cpu().numpy().copy()
