"""Metrics of values that a run names: those of the report, of one target, and with parameters.

Symbols: N samples, O targets, R resamples; y true value, p predicted, e = p - y.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dlexp.metrics.bootstrap import Floats, Interval, Resampling, interval, resampled
from dlexp.metrics.intervals.classes import EXACT, studentized
from dlexp.metrics.intervals.shares import exact
from dlexp.metrics.intervals.studentized import mean_and_error
from dlexp.metrics.regression import ValueSamples
from dlexp.metrics.selection.base import NO_INTERVAL, Known, SelectedMetric, SplitSamples
from dlexp.metrics.selection.request import MetricRequest
from dlexp.metrics.undefined import undefined_of_values

_COLUMNS = ("quantile_loss", "within", "rmsle")


def value_metric(request: MetricRequest, names: Sequence[str]) -> SelectedMetric:
    """The metric of a request, for data with the target `names`, one of which may be `request.output`."""
    number = names.index(request.output) if request.output else None
    kind = OfColumns if request.base in _COLUMNS else OfValueReport
    return kind(request, number, names)


class _OfValues(SelectedMetric):
    """A metric of all targets, a mean over them, or of one target."""

    def __init__(self, request: MetricRequest, number: int | None, names: Sequence[str]) -> None:
        super().__init__(request)
        self._target, self._names = number, tuple(names)

    def undefined(self, targets: Tensor) -> str:
        """As of a monitored metric, for its own targets."""
        own = targets if self._target is None else targets[:, [self._target]]
        if self.request.base == "rmsle" and bool((own <= -1).any()):
            return f"{int((own <= -1).any(dim=1).sum()):,} of {len(own):,} targets are -1 or below"
        return undefined_of_values(self.request.base, own)

    def _of(self, samples: SplitSamples) -> ValueSamples:
        """Its own targets, (N, 1) or (N, O)."""
        assert samples.values is not None
        if self._target is None:
            return samples.values
        own = [self._target]
        return ValueSamples(samples.values.predicted[:, own], samples.values.true[:, own])


class OfValueReport(_OfValues):
    """A metric that every report of values has."""

    def value(self, samples: SplitSamples) -> float:
        """As in a report."""
        return self._of(samples).chosen([self.request.base])[self.request.base]

    def why(self, samples: SplitSamples) -> str:
        """As in a report."""
        return self._of(samples).why(self.request.base)

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """As in a report."""
        base, one = self.request.base, len(self._names) == 1 or self._target is None
        return known.get(base if one else f"{self.request.output}/{base}", NO_INTERVAL)


class OfColumns(_OfValues):
    """Pinball loss, share within a tolerance, or root mean squared logarithmic error: from one number per sample.

    The pinball loss of quantile q is mean max(q (y - p), (q - 1) (y - p)) (Koenker and Bassett 1978), where p is the
    quantile q that the task predicts, if it does, and its prediction otherwise.
    """

    def value(self, samples: SplitSamples) -> float:
        """The mean over its targets."""
        return float(self._finished(self._columns(samples).mean(axis=0)).mean())

    def why(self, samples: SplitSamples) -> str:
        """Numbers that are not finite, or without a logarithm."""
        found = self._of(samples)
        if self.request.base == "rmsle":
            lowest = np.minimum(found.predicted, found.true)
            rows = int((lowest <= -1).any(axis=1).sum())
            if rows:
                return f"{rows:,} of {len(found):,} samples have a true or predicted value of -1 or below"
        return found.why(self.request.base)

    def interval(self, samples: SplitSamples, resampling: Resampling, known: Known) -> Interval:
        """Of a share Clopper and Pearson's, otherwise bootstrap-t; of a mean of several roots percentiles."""
        columns, level = self._columns(samples), resampling.level
        seeded = {"resamples": resampling.resamples, "seed": resampling.seed}
        if self.request.base == "rmsle" and columns.shape[1] > 1:
            drawn = resampled(
                lambda counts: {"": self._finished(counts @ columns / counts.sum(axis=1)[:, None]).mean(axis=1)},
                len(columns),
                **seeded,
            )
            return interval(drawn[""], level)
        column = columns.mean(axis=1)
        if self.request.base == "within" and columns.shape[1] == 1:
            low, high = exact(column.sum(), len(column), level)
            return Interval(float(low), float(high), method=EXACT)
        drawn = resampled(
            lambda counts: dict(zip(("mean", "error"), mean_and_error(counts, column), strict=True)),
            len(column),
            **seeded,
        )
        most = 1.0 if self.request.base == "within" else np.inf
        found = studentized(column, drawn["mean"], drawn["error"], level, (0.0, most))
        if self.request.base == "rmsle" and found.low is not None and found.high is not None:
            return Interval(found.low**0.5, found.high**0.5, method=found.method)
        return found

    @np.errstate(invalid="ignore", divide="ignore", over="ignore")  # what has no logarithm shows as NaN
    def _columns(self, samples: SplitSamples) -> Floats:
        """(N, O or 1): what the metric is a mean of, for rmsle before the root."""
        found, arguments = self._of(samples), self.request.arguments
        if self.request.base == "within":
            error = np.abs(found.predicted - found.true)
            return np.where(np.isfinite(error), error <= arguments["tolerance"], np.nan)
        if self.request.base == "rmsle":
            lowest = np.minimum(found.predicted, found.true) > -1
            logs = np.log1p(np.where(lowest, found.predicted, np.nan)) - np.log1p(found.true)
            return np.asarray(logs**2)
        quantile = float(arguments["q"])
        predicted = samples.extra.get(f"q{quantile:g}")
        if predicted is None:
            predicted = found.predicted
        elif self._target is not None:
            predicted = predicted[:, [self._target]]
        short = found.true - predicted
        return np.maximum(quantile * short, (quantile - 1) * short)

    def _finished(self, means: Floats) -> Floats:
        return np.sqrt(means) if self.request.base == "rmsle" else means


def trial_values(targets: Tensor) -> tuple[Floats, Floats]:
    """(predictions, targets), (N, O) each, that a function is tried on: the targets of other samples."""
    true = targets.cpu().double().numpy()
    return true[np.random.default_rng(0).permutation(len(true))], true.copy()
