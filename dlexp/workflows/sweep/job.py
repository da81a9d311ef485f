"""One job of a sweep, as a process of its own checks and trains it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import prepare_training
from dlexp.config.schema.run import RunConfig
from dlexp.config.sweep import SweepJob, each_once
from dlexp.data.bundle import DataBundle
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.errors import ConfigError, DataError, DlexpError, Interrupted, OutOfMemory, Problem, exit_code_of
from dlexp.runtime.out_of_memory import is_out_of_memory
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.process_pool import ChildStop, Receive, Send, Work, has_used_gpu
from dlexp.workflows.reporter import RunFacts
from dlexp.workflows.train.auto import with_placeholders
from dlexp.workflows.train.trackers import check_loggers
from dlexp.workflows.train.train import Request
from dlexp.workflows.train.train_or_resume import train_or_resume


@dataclass(frozen=True)
class Shared:
    """What the parent of all jobs has read, for those whose data it is."""

    base: RunConfig
    bundle: DataBundle

    def bundle_for(self, config: RunConfig) -> DataBundle | None:
        """The data of a job, None where it reads its own."""
        return self.bundle if config.data == self.base.data else None


class _Teller:
    """A reporter that writes lines to the process's output, and tells the parent of each epoch."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def say(self, text: str) -> None:
        """A line for the job's log."""
        print(text, file=sys.stderr, flush=True)

    def begin(self, facts: RunFacts) -> None:
        """The facts, a line each."""
        for label, text in facts.facts.items():
            self.say(f"{label}: {text}")

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """An epoch goes to the parent, which does not answer."""
        if isinstance(record, EpochRecord):
            self._send({"epoch": record.epoch, "value": float(record.values[record.monitor])})

    def end(self) -> None:
        """Nothing."""


def work_of_job(config: RunConfig, request: Request) -> Work:
    """Train a job to its end, and say how it ended; its run has all the rest."""

    def work(send: Send, receive: Receive) -> None:
        try:
            train_or_resume(config, request, _Teller(send), ChildStop())
            send({"finished": True, "used_gpu": has_used_gpu()})
        except Interrupted as error:
            print(error, file=sys.stderr, flush=True)
            send({"interrupted": str(error)})
        except DlexpError as error:
            print(error, file=sys.stderr, flush=True)
            send({"failed": _first_line(error), "exit_code": exit_code_of(error)})
        except BaseException as error:
            traceback.print_exc()
            is_memory = is_out_of_memory(error)
            what = "out of memory" if is_memory else f"{type(error).__name__}: {error}"
            send({"failed": what, "exit_code": OutOfMemory.exit_code if is_memory else 1})

    return work


def work_of_check(jobs: Sequence[SweepJob], trusted: tuple[str, ...], shared: Shared) -> Work:
    """Build every job as training would, one after the other, and say what refuses and how many threads each takes."""

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
                except Exception as error:  # what training meets is told of that job, and the others go on
                    print(f"{job.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            threads.append(known[key])
        told = [vars(problem) for problem in each_once(problems, len(known))]
        send({"problems": told, "data": data, "threads": threads})

    return work


def _built(config: RunConfig, trusted: tuple[str, ...], shared: Shared) -> Experiment:
    check_loggers(config)
    config = with_placeholders(config)
    experiment = prepared(config, trusted, shared.bundle_for(config))
    prepare_training(experiment)
    return experiment


def _key(config: RunConfig) -> str:
    """What is built alike: everything but the seed and the name."""
    tree: dict[str, Any] = {key: value for key, value in config.resolved.items() if key not in ("seed", "name")}
    return repr((sorted(config.choices.items()), tree))


def _first_line(error: DlexpError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
