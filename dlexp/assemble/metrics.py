"""The metrics that a run names, as objects: refused by name where these data cannot give them a value."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlexp.config.nodes import resolve
from dlexp.config.own_code import own_line
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.errors import ConfigError, DlexpError, Problem, message_of
from dlexp.metrics.bootstrap import Interval, Resampling
from dlexp.metrics.reports.report import Report
from dlexp.metrics.selection.base import OutputState, SelectedMetric, SelectionState, SplitSamples
from dlexp.metrics.selection.classes import class_metric
from dlexp.metrics.selection.function import FunctionError, UserMetric, trial_classes
from dlexp.metrics.selection.request import MetricRequest
from dlexp.metrics.selection.values import trial_values, value_metric
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.text.nearest import nearest_name, shortened
from dlexp.text.quoting import listed
from dlexp.types import TimesOf


@dataclass(frozen=True)
class RunMetrics:
    """The metrics of a run: those of its task, and those that it names.

    Attributes:
        task: The task.
        names: Metrics of `task.extra_metrics` that every epoch computes.
        selected: Metrics beside those of the task.
    """

    task: Task
    names: tuple[str, ...] = ()
    selected: tuple[SelectedMetric, ...] = ()

    def epoch_state(self) -> MetricState:
        """An empty state of the metrics of an epoch; without metrics that the run names, that of the task."""
        own = self.task.metric_state(self.names)
        if not self.selected:
            return own
        keeps_outputs = any(metric.keeps_outputs for metric in self.selected)
        samples = self.task.sample_state(keeps_outputs) or OutputState()
        return StateGroup(own, SelectionState(samples, self.selected))

    def report_state(self) -> MetricState:
        """An empty state of an evaluation, for `report`."""
        own = self.task.report_state()
        if not self.selected or self.task.sample_state() is not None:
            return own
        return StateGroup(own, SelectionState(OutputState(), ()))

    def report(
        self,
        spec: DataSpec,
        state: MetricState,
        resampling: Resampling | None = None,
        references: Mapping[str, NDArray[np.float64]] | None = None,
        times: TimesOf | None = None,
    ) -> Report:
        """The report of the task with the metrics that the run names and their intervals; see `Task.report`.

        references  forecasts of the same samples that need no network, by name; None for none
        times       `DataBundle.times`, read beside references alone
        """
        if references is None:
            report = self.task.report(spec, state, resampling)
        else:
            report = self.task.report_beside(spec, state, resampling, references, times)
        if not self.selected:
            return report
        samples = SplitSamples(state.part(type(self.task.sample_state() or OutputState())))
        values = {metric.name: metric.value(samples) for metric in self.selected}
        undefined = {m.name: m.why(samples) for m in self.selected if not np.isfinite(values[m.name])}
        intervals: dict[str, Interval] = {}
        if resampling and resampling.resamples:
            intervals = {
                metric.name: metric.interval(samples, resampling, report.intervals)
                for metric in self.selected
                if metric.name not in undefined
            }
        shown = {name: None if name in undefined else value for name, value in values.items()}
        return replace(
            report,
            metrics={**report.metrics, **shown},
            undefined={**report.undefined, **undefined},
            intervals={**report.intervals, **intervals},
            notes=(*report.notes, *_without_interval(intervals, self.selected)),
        )


def _without_interval(intervals: Mapping[str, Interval], selected: Sequence[SelectedMetric]) -> Iterator[str]:
    """Why functions of the user have no interval."""
    for metric in selected:
        found = intervals.get(metric.name)
        if isinstance(metric, UserMetric) and found is not None and found.low is None:
            yield f"{metric.name} has no interval: {found.reason}"


def build_metrics(config: RunConfig, spec: DataSpec, task: Task, trusted: Sequence[str]) -> RunMetrics:
    """Build the metrics of a run. Raises ConfigError with all problems of their names, classes and functions."""
    names, selected = dict.fromkeys(task.extra_metrics_of(config.monitor)), []
    problems: list[Problem] = []
    for request in config.metrics:
        if request.name in task.metrics:
            continue
        try:
            _refuse(request, spec, task)
            if request.name in task.extra_metrics and request.base:
                names[request.name] = None
            else:
                selected.append(_built(request, spec, task, trusted))
        except ConfigError as error:
            problems += [replace(p, where=request.where, given=p.given or request.name) for p in error.problems]
    if problems:
        raise ConfigError(problems)
    return RunMetrics(task, tuple(names), tuple(selected))


def function_problems(config: RunConfig, trusted: Sequence[str]) -> Iterator[Problem]:
    """Functions of the user that are not found or not trusted, and arguments that they do not have; before any data."""
    for request in config.metrics:
        if not request.target:
            continue
        try:
            known = inspect.signature(resolve(request.target, trusted)).parameters
        except ConfigError as error:
            yield from (replace(p, where=request.where) for p in error.problems)
            continue
        except ValueError:  # a built-in function without a signature
            continue
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
            continue
        for name in request.arguments:
            if name not in known:
                near = nearest_name(name, known)
                remedy = f"Did you mean {near}?" if near else f"Available: {', '.join(known)}"
                rule = f"unknown argument {name} of {request.target}"
                yield Problem(request.where, request.name, rule, remedy, code="unknown-key")


def check_metrics(bundle: DataBundle, metrics: RunMetrics) -> None:
    """Raise ConfigError for metrics that have no value on the validation split, and for functions that fail on it.

    A function is tried with the targets of the split and predictions that are made up.
    """
    targets = bundle.splits["val"].targets
    if targets is None or not isinstance(bundle.spec.targets, ClassSpec | ValueSpec):
        return
    problems = list(_problems(metrics, bundle.spec, tensor_of(targets)))
    if problems:
        raise ConfigError(problems)


def _problems(metrics: RunMetrics, spec: DataSpec, targets: Tensor) -> Iterator[Problem]:
    remedy = "Remove it, or use a validation split with all classes. If dlexp draws the split, change data.split_seed "
    remedy += "or data.val_fraction."
    reasons = {name: ("metrics", metrics.task.undefined(name, targets)) for name in metrics.names}
    reasons |= {metric.name: (metric.request.where, metric.undefined(targets)) for metric in metrics.selected}
    for name, (where, reason) in reasons.items():
        if reason:
            rule = f"undefined on this validation split: {reason}"
            yield Problem(where, name, rule, remedy, code="incompatible-data")
    if metrics.task.sample_state() is None:  # its outputs are not known
        return
    tried = trial_classes(targets, spec.output_names) if isinstance(spec.targets, ClassSpec) else trial_values(targets)
    for metric in metrics.selected:
        if isinstance(metric, UserMetric):
            try:
                metric.called(*tried)
            except FunctionError as error:
                rule = f"{error.rule}; it was called with the targets of the validation split and random predictions"
                yield Problem(metric.request.where, metric.name, rule, error.remedy, code=error.code)


def _refuse(request: MetricRequest, spec: DataSpec, task: Task) -> None:
    """Raise ConfigError for a class that the data do not have, and for what the task cannot compute."""
    if refused := task.refusal(request.base):
        raise ConfigError.one("metrics", request.name, *refused, code="cannot-combine")
    names = spec.output_names
    if request.output and request.output not in names:
        what = "class" if isinstance(spec.targets, ClassSpec) else "target"
        near = nearest_name(request.output, names)
        every = f"Available: {shortened([listed([name]) for name in names])}"
        remedy = f"Did you mean {request.base}[{near}]?" if near else every
        raise ConfigError.one("metrics", request.name, f"unknown {what} of these data", remedy, code="unknown-value")
    if request.base == "cost" and len(request.arguments["matrix"]) != len(names):
        rule = f"matrix must have {len(names)} rows and columns, one per class ({listed(names)}), "
        rule += f"got {len(request.arguments['matrix'])}"
        raise ConfigError.one("metrics", request.name, rule, code="invalid-value")


def _built(request: MetricRequest, spec: DataSpec, task: Task, trusted: Sequence[str]) -> SelectedMetric:
    if request.target:
        return _function(request, trusted)
    if task.sample_state() is None:
        rule = f"not available with {type(task).__name__}, which keeps no predicted classes or values"
        raise ConfigError.one("metrics", request.name, rule, "Remove it, or write a function.", code="not-supported")
    make = class_metric if isinstance(spec.targets, ClassSpec) else value_metric
    return make(request, spec.output_names)


def _function(request: MetricRequest, trusted: Sequence[str]) -> UserMetric:
    """The user's function, or an instance of the user's class, whose arguments are then those of its constructor."""
    target, arguments = resolve(request.target, trusted), request.arguments
    found: Any = target
    place = partial(own_line, target=request.target)
    if isinstance(target, type):
        try:
            found, arguments = target(**arguments), {}
        except DlexpError:
            raise
        except Exception as error:
            line = place(error)
            rule = f"{request.target}: {message_of(error)}{f' ({line})' if line else ''}"
            raise ConfigError.one("metrics", request.name, rule, code="invalid-value") from error
        if not callable(found):
            rule = f"{request.target} must have a method __call__(predictions, targets)"
            raise ConfigError.one("metrics", request.name, rule, code="invalid-type")
    return UserMetric(request, found, arguments, place)


def described_metrics(metrics: RunMetrics, directions: Mapping[str, str]) -> str:
    """The metrics that a run names, with their directions, in one line; "" without any."""
    names = [*metrics.names, *(metric.name for metric in metrics.selected)]
    ways = {"max": "higher is better", "min": "lower is better"}
    return ", ".join(f"{name} ({ways.get(directions.get(f'val/{name}', ''), 'direction unknown')})" for name in names)
