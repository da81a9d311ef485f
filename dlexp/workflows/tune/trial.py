"""Training of a trial of a study in a separate process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.reading import is_file, read_text
from dlexp.artifacts.files.writing import finite_or_none, write_json, write_text
from dlexp.artifacts.runs.metrics_log import MetricsLog
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.components import build_loss, build_task
from dlexp.assemble.experiment import Experiment, assemble, build_data
from dlexp.assemble.metrics import build_metrics, check_metrics
from dlexp.assemble.training import check_monitor, prepare_training, recovery_hooks, stacking_problem
from dlexp.config.nodes import resolve
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle, with_counts
from dlexp.diagnosis.rules.while_training import HOPELESS
from dlexp.diagnosis.verdict import Verdict
from dlexp.engine.loop import Course, EpochRecord, StepRecord, course, follow
from dlexp.engine.stacking.lockstep import Lockstep, Outcome, StackPlan
from dlexp.errors import Diverged, DlexpError, Interrupted, OutOfMemory
from dlexp.runtime.compiler import spare_compiler
from dlexp.runtime.out_of_memory import is_out_of_memory
from dlexp.runtime.process import available_cores
from dlexp.runtime.signals import SharedStop, StopRequest
from dlexp.workflows.epoch_watch import EpochWatch
from dlexp.workflows.process_pool import ChildStop, Receive, Send, Work, has_used_gpu

_SAVE_SECONDS = 5.0  # between checkpoints, at least; a shorter trial is cheaper to repeat
_REST = 39.0  # the same in durations of saving all trials of the process once: a fortieth of the time at most


@dataclass(frozen=True)
class Job:
    """A configuration to train.

    Attributes:
        overrides: Its overrides.
        bundle: The data, None to read it.
        threads: Number of processor cores to use.
        stop: What ends it early: names in `HOPELESS`.
    """

    config: RunConfig
    overrides: tuple[str, ...]
    folder: Path
    trusted: tuple[str, ...]
    bundle: DataBundle | None
    threads: int
    stop: tuple[str, ...] = ()


def work_of_stack(jobs: Sequence[Job]) -> Work:
    """The work of a child process that trains several trials together: as `work_of`, with the position of each."""

    def work(send: Send, receive: Receive) -> None:
        epochs = [0] * len(jobs)
        experiments: dict[int, Experiment] = {}

        def own_course(number: int, stop: SharedStop) -> Course[dict[str, Any]]:
            def report(epoch: int, value: float) -> bool:
                epochs[number] = epoch
                send({"job": number, "epoch": epoch, "value": value})
                return receive()

            def ready(experiment: Experiment) -> None:
                experiments[number] = experiment

            return (yield from trial_course(jobs[number], report, stop, ready, len(jobs)))

        def alone(number: int) -> str:
            return stacking_problem(experiments[number])

        def on_plan(plan: StackPlan) -> None:
            notes = {k: f"trained in a stack of {len(members)} trials" for members in plan.stacks for k in members}
            notes |= {number: f"trained alone, not in a stack: {reason}" for number, reason in plan.alone}
            for number, text in notes.items():
                MetricsLog(jobs[number].folder).say(text)

        def on_break(numbers: Sequence[int], reason: str) -> None:
            for number in numbers:
                MetricsLog(jobs[number].folder).say(f"trained alone from here on, not in a stack: {reason}")

        def on_end(number: int, outcome: Outcome[dict[str, Any]]) -> None:
            found = outcome.result if outcome.error is None else _outcome_of(outcome.error)
            send({"job": number, "epoch": epochs[number], "outcome": found})

        try:
            with ChildStop() as source:
                stop = SharedStop(source)
                courses = [own_course(number, stop) for number in range(len(jobs))]
                Lockstep(courses, alone, on_plan, stop.read, on_end, on_break).run()
            send({"interrupted": True, "used_gpu": has_used_gpu()})  # of no trial: each has sent its own end
        except BaseException as error:
            send(_outcome_of(error))

    return work


def _outcome_of(error: BaseException) -> dict[str, Any]:
    """What ended a trial, as a message; the traceback of what is unexpected is written to its log."""
    if isinstance(error, Diverged):
        return {"failed": f"diverged: {error}"}
    if isinstance(error, Interrupted):
        return {"interrupted": True}
    if isinstance(error, OutOfMemory):
        traceback.print_exception(error)
        return {"failed": "oom"}
    if isinstance(error, DlexpError):
        return {"failed": str(error)}
    traceback.print_exception(error)
    return {"failed": "oom" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"}


def work_of(job: Job) -> Work:
    """The work of a child process: reports every epoch, waits for the reply, and sends the result at the end."""

    def work(send: Send, receive: Receive) -> None:
        def report(epoch: int, value: float) -> bool:
            send({"epoch": epoch, "value": value})
            return receive()

        try:
            result = run_trial(job, report)
            send({**result, "used_gpu": has_used_gpu()})
        except BaseException as error:
            send(_outcome_of(error))

    return work


class _Pruned(SharedStop):
    """Stop request of a trial: that of its process, also true after the trial was pruned."""

    def __init__(self, source: StopRequest) -> None:
        super().__init__(source)
        self._of_process, self.pruned = source, False
        self.finding: Verdict | None = None  # for which it was pruned, None if by the pruner

    def __bool__(self) -> bool:
        return self.pruned or bool(self._of_process)

    @property
    def name(self) -> str:
        """The reason of the stop."""
        return "prune" if self.pruned else super().name


class SeldomSaved:
    """Checkpoints of a trial: the last state, at most every few seconds, without best weights.

    together  trials of this process, which save in turn
    """

    def __init__(self, store: CheckpointStore, together: int = 1) -> None:
        self._store, self._together = store, together
        self._saved, self._pause = time.monotonic(), _SAVE_SECONDS

    def save(self, state: Any, best: Any = None) -> None:
        """Save if enough time has passed; best weights are not needed, since the winner is trained again."""
        started = time.monotonic()
        if started - self._saved > self._pause:
            self._store.save_last(state)
            self._saved = time.monotonic()
            self._pause = max(_SAVE_SECONDS, _REST * self._together * (self._saved - started))


def run_trial(job: Job, report: Callable[[int, float], bool]) -> dict[str, Any]:
    """Train one configuration; returns the content of result.json.

    Writes config.yaml, metrics.csv, metrics.jsonl, train.log and result.json.

    Args:
        job: The configuration and its directory.
        report: Called as report(epoch, value) after every epoch; returns whether to continue.

    Raises:
        Interrupted: After SIGTERM, with a saved checkpoint.
        Diverged: The loss is not finite.
    """
    with ChildStop() as stop:
        return follow(trial_course(job, report, stop))


def trial_course(
    job: Job,
    report: Callable[[int, float], bool],
    stop: StopRequest,
    on_ready: Callable[[Experiment], None] = lambda experiment: None,
    together: int = 1,
) -> Course[dict[str, Any]]:
    """The course of `run_trial`; `on_ready` is called before the first update. together: trials of this process."""
    folder = job.folder
    write_text(folder / "config.yaml", to_yaml(job.config))
    write_text(folder / "overrides.yaml", overrides_to_yaml(list(job.overrides)))
    with claimed(folder):
        experiment = assemble(job.config, job.trusted, job.bundle, job.threads)
        on_ready(experiment)
        return (yield from _trained(job, experiment, report, _Pruned(stop), together))


def _trained(
    job: Job, experiment: Experiment, report: Callable[[int, float], bool], stop: _Pruned, together: int
) -> Course[dict[str, Any]]:
    config, folder = job.config, job.folder
    setup = prepare_training(experiment)
    state, log = setup.state, MetricsLog(folder)
    store = CheckpointStore(folder / "checkpoints", log.say)
    saved = store.load_last()
    if saved is not None:
        with naming(store.folder / "last.pt"):
            state.load_state_dict(saved)
    first_epoch = state.epoch + 1
    log.rewind(state.epoch, state.step)

    rules = [rule for name in job.stop for rule in HOPELESS[name]]
    watch = EpochWatch(folder, setup, rules) if rules else None

    def observe(record: StepRecord | EpochRecord) -> None:
        found = [] if watch is None else watch.observe(record)
        if isinstance(record, EpochRecord):
            log.epoch(record.values)
            stop.pruned = not report(record.epoch, float(record.values[config.monitor]))
            if found and not stop.pruned and record.epoch < record.epochs:
                stop.pruned, stop.finding = True, found[0]
                log.say(f"stopped by search.stop: {_reason_of(found[0])}")

    plan = setup.plan((observe,), recovery_hooks(experiment, lambda event: log.say(event.message)))
    try:
        reason = yield from course(plan, state, SeldomSaved(store, together), stop)
    except Interrupted:
        if not stop.pruned:
            store.save_last(state.state_dict())
            raise
        reason = "pruned"
    result: dict[str, Any] = {
        "value": state.best.value,
        "best_epoch": state.best.epoch,
        "first_epoch": first_epoch,
        "epochs": state.epoch,
        "pruned": reason == "pruned",
        "parameters": experiment.num_parameters,
    }
    if stop.finding is not None:
        result |= {"finding": finite_or_none(stop.finding.as_dict()), "reason": _reason_of(stop.finding)}
    write_json(folder / "result.json", result)
    return result


def _reason_of(found: Verdict) -> str:
    """A finding in one line, with its numbers."""
    return f"{found.code}: {found.what} ({'; '.join(one.text() for one in found.evidence)})"


def known_value(job: Job) -> float | None:
    """The result of the same configuration in this directory, None if it has not finished."""
    saved, result = job.folder / "config.yaml", job.folder / "result.json"
    if not is_file(result) or not is_file(saved) or read_text(saved, errors="replace") != to_yaml(job.config):
        return None
    value = read_run_file(result)["value"]
    return None if value is None else float(value)


def prepare(config: RunConfig, trusted: tuple[str, ...]) -> tuple[DataBundle, int]:
    """Import torch and read the data in the parent process, to be shared by all trials.

    Returns:
        The data, and the number of processor cores that `dlexp train` would use.

    Raises:
        ConfigError: The monitored metric is undefined for the data.
    """
    import torch

    spare_compiler()
    threads, _ = available_cores()
    torch.set_num_threads(1)  # threads created here would be lost in a fork, and waited for
    for node in (config.model, config.task, config.loss, config.optim, config.scheduler):
        resolve(node.target, trusted)  # imported here, once
    bundle = build_data(config, trusted)
    # On the CPU, since a process that has used a GPU cannot be forked.
    spec = with_counts(bundle).spec
    loss = build_loss(config, spec, trusted, torch.device("cpu"))
    task = build_task(config, spec, loss, trusted)
    check_monitor(config, bundle, task)
    check_metrics(bundle, build_metrics(config, spec, task, trusted))
    return bundle, threads
