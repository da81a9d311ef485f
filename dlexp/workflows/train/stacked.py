"""Several runs trained as stacks: each in its own directory, written by the code that writes one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from dlexp.artifacts.runs.metrics_log import MetricsLog
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import stacking_problem
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.engine.loop import Course, EpochRecord, StepRecord
from dlexp.engine.stacking.lockstep import Lockstep, Outcome, StackPlan
from dlexp.errors import Interrupted
from dlexp.report import number_format
from dlexp.runtime.signals import SharedStop, StopRequest
from dlexp.workflows.reporter import Reporter, RunFacts
from dlexp.workflows.train.train import Request
from dlexp.workflows.train.train_or_resume import course_of

FILE = "stacks.json"


@dataclass(frozen=True)
class StackJob:
    """A run to train; its name in messages, configuration and request with its directory."""

    name: str
    config: RunConfig
    request: Request


@dataclass(frozen=True)
class StackHooks:
    """What is called with the number of a run: `on_epoch` after each of its epochs, `on_end` with its outcome."""

    on_epoch: Callable[[int, EpochRecord], None] = lambda number, record: None
    on_end: Callable[[int, Outcome[dict[str, Any]]], None] = lambda number, outcome: None


def train_stacked(
    jobs: Sequence[StackJob],
    folder: Path,
    reporter: Reporter,
    stop: StopRequest | None = None,
    hooks: StackHooks | None = None,
) -> tuple[list[Outcome[dict[str, Any]]], dict[str, Any]]:
    """Train some runs together, as far as their networks have the same shapes, and the others alone.

    A run that ends, also by an error, does not end the others.

    Args:
        jobs: The runs, each with its directory: new, begun or finished.
        folder: That of all of them, which the display names.
        reporter: Receives the progress of the stack, and a line when a run ends.
        stop: The stop request, None for signals only.
        hooks: Called when a run has made progress.

    Returns:
        The outcome of each run, which is its summary or an error; and how they were trained, as plain values.

    Raises:
        Interrupted: After a signal, with all runs saved.
    """
    source = StopRequest() if stop is None else stop
    with source:
        return _Runs(jobs, folder, reporter, SharedStop(source), hooks or StackHooks()).train(source)


@dataclass
class _Run:
    """A run as the display sees it."""

    epochs: dict[int, EpochRecord] = field(default_factory=dict)
    facts: RunFacts | None = None
    experiment: Experiment | None = None
    folder: Path | None = None
    is_over: bool = False


class _Runs:
    """The runs of `train_stacked`."""

    def __init__(
        self, jobs: Sequence[StackJob], folder: Path, reporter: Reporter, stop: SharedStop, hooks: StackHooks
    ) -> None:
        self._hooks = hooks
        self._jobs, self._folder, self._reporter, self._stop = jobs, folder, reporter, stop
        self._runs = [_Run() for _ in jobs]
        self._shown, self._is_open = 0, False
        self._bundle: tuple[RunConfig, DataBundle] | None = None
        self._plan: dict[str, Any] = {"stacks": [], "alone": {}}

    def train(self, source: StopRequest) -> tuple[list[Outcome[dict[str, Any]]], dict[str, Any]]:
        """Train all of them."""
        courses = [self._course(number) for number in range(len(self._jobs))]
        together = Lockstep(courses, self._alone, self._begin, self._stop.read, self._end, self._break)
        try:
            outcomes = together.run()
        finally:
            self._close()
        if any(isinstance(outcome.error, Interrupted) for outcome in outcomes):
            done = sum(outcome.error is None for outcome in outcomes)
            text = f"{source.name} received; {done} of {len(outcomes)} runs are finished, the others are saved"
            raise Interrupted(text, source.exit_code)
        return outcomes, self._plan

    def _course(self, number: int) -> Course[dict[str, Any]]:
        """The course of a run, which reads its data only if no run before it has."""
        job = self._jobs[number]
        request = replace(job.request, together=len(self._jobs))
        if request.bundle is None and self._bundle is not None and self._bundle[0].data == job.config.data:
            request = replace(request, bundle=self._bundle[1])

        def ready(experiment: Experiment, run: RunDir) -> None:
            self._runs[number].experiment, self._runs[number].folder = experiment, run.path
            self._bundle = self._bundle or (job.config, experiment.bundle)

        return (yield from course_of(job.config, request, _MemberReporter(self, number), self._stop, ready))

    def _alone(self, number: int) -> str:
        """Why a run is trained alone, as far as its experiment tells."""
        experiment = self._runs[number].experiment
        return "" if experiment is None else stacking_problem(experiment)

    def _begin(self, plan: StackPlan) -> None:
        """Say how the runs are trained, and open the display."""
        names = [job.name for job in self._jobs]
        for members in plan.stacks:
            self._plan["stacks"].append([names[number] for number in members])
            self._note(
                members, f"trained in a stack of {len(members)} runs with networks of the same shapes (--stacked)"
            )
            self._reporter.say(f"stacked: {_listed([names[number] for number in members])}")
        reasons: dict[str, list[int]] = {}
        for number, reason in plan.alone:
            reasons.setdefault(reason, []).append(number)
            self._plan["alone"][names[number]] = reason
        for reason, numbers in reasons.items():
            self._note(numbers, f"trained alone, not in a stack: {reason}")
            self._reporter.say(f"one by one: {_listed([names[number] for number in numbers])}: {reason}")
        facts = next((run.facts for run in self._runs if run.facts is not None), None)
        if facts is not None:
            kept = {label: text for label, text in facts.facts.items() if label not in ("seed", "resumed")}
            first = min(run.facts.first_epoch for run in self._runs if run.facts is not None)
            title = f"{len(names)} runs: {facts.title}"
            self._is_open, self._shown = True, first
            self._reporter.begin(RunFacts(title, str(self._folder), facts.epochs, first, facts.num_batches, kept))

    def _break(self, numbers: Sequence[int], reason: str) -> None:
        """Say that a stack has ended and its members go on alone."""
        names = [self._jobs[number].name for number in numbers]
        self._plan["alone"] |= dict.fromkeys(names, f"after some updates in a stack: {reason}")
        self._note(numbers, f"trained alone from here on, not in a stack: {reason}")
        self._reporter.say(f"one by one from here on: {_listed(names)}: {reason}")

    def _note(self, numbers: Sequence[int], text: str) -> None:
        """Write a line to the logs of some runs."""
        for number in numbers:
            folder = self._runs[number].folder
            if folder is not None:
                MetricsLog(folder).say(text)

    def observe(self, number: int, record: StepRecord | EpochRecord) -> None:
        """Show an epoch once every run that goes on has finished it: the means over the runs."""
        if not isinstance(record, EpochRecord):
            return
        self._runs[number].epochs[record.epoch] = record
        self._hooks.on_epoch(number, record)
        self._show()

    def _show(self) -> None:
        while self._is_open:
            epoch = self._shown + 1
            if any(not run.is_over and epoch not in run.epochs for run in self._runs):
                return
            records = [run.epochs.pop(epoch) for run in self._runs if epoch in run.epochs]
            if not records:
                return
            self._shown = epoch
            self._reporter.observe(_mean_of(records))

    def _end(self, number: int, outcome: Outcome[dict[str, Any]]) -> None:
        run, name = self._runs[number], self._jobs[number].name
        run.is_over = True
        self._hooks.on_end(number, outcome)
        self._show()
        if outcome.result is not None:
            result = outcome.result
            best = (result.get("best") or {}).get(str(result["monitor"]).removeprefix("val/"))
            shown = f", {result['monitor']} {number_format.number(result['monitor'], best)}" if best is not None else ""
            self._reporter.say(f"{name}: {result['reason']}; best epoch {result['best_epoch']}{shown}")
        elif outcome.error is not None and not isinstance(outcome.error, Interrupted):
            self._reporter.say(f"{name}: failed: {str(outcome.error) or type(outcome.error).__name__}")

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._reporter.end()

    def say(self, number: int, text: str) -> None:
        """Show a message of a run."""
        self._reporter.say(f"{self._jobs[number].name}: {text}")

    def facts(self, number: int, facts: RunFacts) -> None:
        """Keep the facts of a run."""
        self._runs[number].facts = facts


class _MemberReporter:
    """The reporter of one run of a stack."""

    def __init__(self, runs: _Runs, number: int) -> None:
        self._runs, self._number = runs, number

    def say(self, text: str) -> None:
        """Show a message with the name of the run."""
        self._runs.say(self._number, text)

    def begin(self, facts: RunFacts) -> None:
        """Keep the facts; the stack shows them once."""
        self._runs.facts(self._number, facts)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Count an epoch."""
        self._runs.observe(self._number, record)

    def end(self) -> None:
        """Show nothing."""


def _mean_of(records: Sequence[EpochRecord]) -> EpochRecord:
    """An epoch of several runs: the means of their values, and the samples of all of them in a second."""
    first = records[0]
    values: dict[str, float | int] = {
        name: value if name in ("epoch", "step") else fmean(float(record.values[name]) for record in records)
        for name, value in first.values.items()
        if all(name in record.values for record in records)
    }
    values["samples_per_s"] = sum(float(record.values["samples_per_s"]) for record in records)
    return EpochRecord(first.epoch, max(record.epochs for record in records), values, False, first.monitor)


def _listed(names: Sequence[str]) -> str:
    """`seed 42 to seed 51` for many names, all of a few."""
    if len(names) <= 4:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)} runs)"
