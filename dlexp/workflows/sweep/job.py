"""Checks and trains the jobs of a sweep in separate processes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import prepare_training
from dlexp.config.schema.run import RunConfig
from dlexp.config.sweep import SweepJob, each_once
from dlexp.data.bundle import DataBundle
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.engine.stacking.lockstep import Outcome
from dlexp.errors import ConfigError, DataError, DlexpError, Interrupted, OutOfMemory, Problem, exit_code_of
from dlexp.runtime.out_of_memory import is_out_of_memory
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.process_pool import ChildStop, Receive, Send, Work, has_used_gpu
from dlexp.workflows.reporter import RunFacts
from dlexp.workflows.train.auto import with_placeholders
from dlexp.workflows.train.stacked import StackHooks, StackJob, train_stacked
from dlexp.workflows.train.trackers import check_loggers
from dlexp.workflows.train.train import Request
from dlexp.workflows.train.train_or_resume import train_or_resume


@dataclass(frozen=True)
class Shared:
    """The data read by the parent process, for the jobs that use it."""

    base: RunConfig
    bundle: DataBundle

    def bundle_for(self, config: RunConfig) -> DataBundle | None:
        """The data of a job, None if the job reads its own."""
        return self.bundle if config.data == self.base.data else None


class _LogReporter:
    """A reporter that writes to the log of the job."""

    def say(self, text: str) -> None:
        """Write a line to the log of the job."""
        print(text, file=sys.stderr, flush=True)

    def begin(self, facts: RunFacts) -> None:
        """Write one line per fact."""
        for label, text in facts.facts.items():
            self.say(f"{label}: {text}")

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Write nothing: the run keeps its own log."""

    def end(self) -> None:
        """Write nothing."""


class _ChildReporter(_LogReporter):
    """A reporter that also sends each epoch to the parent."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Send an epoch to the parent."""
        if isinstance(record, EpochRecord):
            self._send({"epoch": record.epoch, "value": float(record.values[record.monitor])})


def work_of_job(config: RunConfig, request: Request) -> Work:
    """Train a job and send its outcome; the results are in its run directory."""

    def work(send: Send, receive: Receive) -> None:
        try:
            train_or_resume(config, request, _ChildReporter(send), ChildStop())
            send({"finished": True, "used_gpu": has_used_gpu()})
        except BaseException as error:
            send(_outcome_of(error))

    return work


def work_of_stack(jobs: Sequence[StackJob], folder: Path) -> Work:
    """Train several jobs together and send the epochs and the outcome of each, with its position in `jobs`."""

    def work(send: Send, receive: Receive) -> None:
        epochs = [0] * len(jobs)

        def on_epoch(number: int, record: EpochRecord) -> None:
            epochs[number] = record.epoch
            send({"job": number, "epoch": record.epoch, "value": float(record.values[record.monitor])})

        def on_end(number: int, outcome: Outcome[dict[str, Any]]) -> None:
            found = {"finished": True} if outcome.error is None else _outcome_of(outcome.error)
            send({"job": number, "epoch": epochs[number], "outcome": found})

        try:
            train_stacked(jobs, folder, _LogReporter(), ChildStop(), StackHooks(on_epoch, on_end))
            send({"finished": True, "used_gpu": has_used_gpu()})
        except BaseException as error:
            send(_outcome_of(error))

    return work


def _outcome_of(error: BaseException) -> dict[str, Any]:
    """What ended a job, as a message; its text is written to the log."""
    if isinstance(error, Interrupted):
        print(error, file=sys.stderr, flush=True)
        return {"interrupted": str(error)}
    if isinstance(error, DlexpError):
        print(error, file=sys.stderr, flush=True)
        return {"failed": _first_line(error), "exit_code": exit_code_of(error)}
    traceback.print_exception(error)
    is_memory = is_out_of_memory(error)
    what = "out of memory" if is_memory else f"{type(error).__name__}: {error}"
    return {"failed": what, "exit_code": OutOfMemory.exit_code if is_memory else 1}


def work_of_check(jobs: Sequence[SweepJob], trusted: tuple[str, ...], shared: Shared) -> Work:
    """Build all jobs without training; sends their errors and the number of threads of each."""

    def work(send: Send, receive: Receive) -> None:
        problems: list[tuple[str, Problem]] = []
        data: list[str] = []
        threads: list[int | None] = []
        known: dict[str, int | None] = {}
        for job in jobs:
            config = job.config
            key = _key(config)
            if key not in known:
                known[key] = None
                try:
                    experiment = _built(config, trusted, shared)
                    known[key] = experiment.settings.threads
                except ConfigError as error:
                    problems += [(job.name, problem) for problem in error.problems]
                except DataError as error:
                    data += [str(error)] if str(error) not in data else []
                except Exception as error:  # reported when the job is trained; the other jobs continue
                    print(f"{job.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            threads.append(known[key])
        unique = [vars(problem) for problem in each_once(problems, len(known))]
        send({"problems": unique, "data": data, "threads": threads})

    return work


def _built(config: RunConfig, trusted: tuple[str, ...], shared: Shared) -> Experiment:
    check_loggers(config)
    config = with_placeholders(config)
    experiment = prepared(config, trusted, shared.bundle_for(config))
    prepare_training(experiment)
    return experiment


def _key(config: RunConfig) -> str:
    """A key of the parts of the configuration that affect how a job is built: all but the seed and the name."""
    tree: dict[str, Any] = {key: value for key, value in config.resolved.items() if key not in ("seed", "name")}
    return repr((sorted(config.choices.items()), tree))


def _first_line(error: DlexpError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
