"""The workflow `dlexp train -m`: checks all jobs of a sweep, then trains each in a separate process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_tree import is_sweep
from dlexp.config.sweep import SweepJob
from dlexp.config.typed import with_values
from dlexp.errors import ConfigError, DataError, DlexpError, Interrupted, Problem
from dlexp.runtime.process import available_cores
from dlexp.runtime.signals import StopRequest
from dlexp.text.quoting import command
from dlexp.workflows.compare.standings.files import write_comparison
from dlexp.workflows.pictures import Pictures
from dlexp.workflows.process_pool import Pool, wait_for_orphans
from dlexp.workflows.reporter import ProgressReporter, unbroken
from dlexp.workflows.sweep.files import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    SWEEP,
    JobState,
    holds,
    read_jobs,
    states_of,
    sweep_content,
    unfinished_twin,
    write_jobs,
)
from dlexp.workflows.sweep.job import Shared, work_of_check, work_of_job, work_of_stack
from dlexp.workflows.train.stacked import StackJob
from dlexp.workflows.train.train import Request
from dlexp.workflows.tune.trial import prepare

_LARGEST_STACK = 64  # jobs that a process trains together; more gain nothing and wait for each other


@dataclass(frozen=True)
class SweepRequest:
    """Options of a sweep.

    overrides    the line's overrides, as typed
    folder   exactly this directory, None for a new one under outputs/sweep
    num_parallel  jobs that run at the same time
    is_stacked    whether each process trains several jobs together, as one network
    """

    overrides: tuple[str, ...]
    command: str
    folder: Path | None
    num_parallel: int
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False
    is_stacked: bool = False


@dataclass(frozen=True)
class SweepProgress:
    """A job that has started, finished an epoch or ended, and the states of all jobs."""

    job: JobState
    jobs: Sequence[JobState]


def check_jobs(
    jobs: Sequence[SweepJob], trusted: tuple[str, ...], num_parallel: int
) -> tuple[tuple[SweepJob, ...], Shared]:
    """Build all jobs in a temporary process; nothing is written.

    Parallel jobs share the processor cores: if a job would use more threads than its share, trainer.threads is added to
    its overrides, so that it remains repeatable.

    Raises:
        ConfigError: The problems of all jobs.
        DataError: The data cannot be used.
    """
    shared = Shared(jobs[0].config, prepare(jobs[0].config, trusted)[0])
    pool, outcome = Pool(1), dict[str, Any]()
    with StopRequest() as stop:
        pool.start("check", Path(os.devnull), work_of_check(jobs, trusted, shared))
        while pool.children:
            for _, message in pool.events():
                outcome = message
            if stop:
                pool.stop()
    if stop:
        raise Interrupted(f"{stop.name} received; nothing was started", stop.exit_code)
    if outcome.get("problems"):
        raise ConfigError([Problem(**problem) for problem in outcome["problems"]])
    if outcome.get("data"):
        raise DataError("\n".join(outcome["data"]), code="invalid-data")
    if "threads" not in outcome:
        raise DlexpError(
            f"the jobs could not be checked: {outcome.get('failed', 'the process was stopped')}", code="failed"
        )
    share = max(1, available_cores()[0] // num_parallel)
    return tuple(_with_share(job, wanted, share) for job, wanted in zip(jobs, outcome["threads"], strict=True)), shared


def _with_share(job: SweepJob, wanted: int | None, share: int) -> SweepJob:
    if job.config.trainer.threads != "auto" or wanted is None or wanted <= share:
        return job
    word = f"trainer.threads={share}"
    return SweepJob((*job.overrides, word), job.varied, with_values(job.config, {"trainer.threads": share}))


def sweep(jobs: Sequence[SweepJob], request: SweepRequest, reporter: ProgressReporter[SweepProgress]) -> dict[str, Any]:
    """Train all jobs of a new sweep, or of an interrupted one of the same command; returns the content of sweep.json.

    Raises:
        ConfigError, DataError: Before anything is written.
        Interrupted: After a signal.
    """
    folder = request.folder or unfinished_twin(request.overrides, jobs)
    if folder is not None and is_sweep(folder):
        if not holds(folder, jobs):
            remedy = f"Use a new directory, or finish the existing sweep with {command('train', '--resume', folder)}"
            raise ConfigError.one(str(folder), "", "has a sweep of other jobs", remedy, code="incompatible-run")
        return resume_sweep(folder, request, reporter)
    jobs, shared = check_jobs(jobs, request.trusted, request.num_parallel)
    names = {job.config.run_name for job in jobs}
    run = RunDir.create("sweep", names.pop() if len(names) == 1 else f"{len(jobs)}-jobs", folder)
    write_jobs(run.path, request.overrides, jobs)
    return _run(run, jobs, request, shared, reporter)


def resume_sweep(folder: Path, request: SweepRequest, reporter: ProgressReporter[SweepProgress]) -> dict[str, Any]:
    """Finish the sweep in `folder` with its saved configurations; finished jobs are left unchanged."""
    overrides, jobs = read_jobs(folder)
    shared = Shared(jobs[0].config, prepare(jobs[0].config, request.trusted)[0])
    return _run(RunDir(folder), jobs, dataclasses.replace(request, overrides=overrides), shared, reporter)


def _run(
    run: RunDir,
    jobs: Sequence[SweepJob],
    request: SweepRequest,
    shared: Shared,
    reporter: ProgressReporter[SweepProgress],
) -> dict[str, Any]:
    wait_for_orphans(run.path)
    with run.lock(), StopRequest() as stop:
        states = states_of(run.path, jobs)
        kept = sum(state.state == FINISHED for state in states)
        begun = sum(state.is_begun and state.state != FINISHED for state in states)
        if kept or begun:
            reporter.say(f"resuming {run.path}: {kept} of {len(states)} jobs are finished, {begun} have started")
        runner = _Runner(run.path, states, request, shared, unbroken(reporter, stop))
        runner.run(stop)
        content = runner.write()
        if stop and any(state.state != FINISHED for state in states):
            done = sum(state.state == FINISHED for state in states)
            text = f"{stop.name} received; {done} of {len(states)} jobs are finished, the others are saved"
            raise Interrupted(f"{text}. Resume with {command('train', '--resume', run.path)}", stop.exit_code)
        gone = [str(state.folder) for state in states if state.state == FINISHED and not state.is_begun]
        if gone:
            raise DlexpError(f"{', '.join(gone)} was deleted while other jobs were trained", code="not-found")
        return content | {"comparison": _compared(run.path, reporter)}


def _compared(folder: Path, reporter: ProgressReporter[SweepProgress]) -> dict[str, Any] | None:
    """Write the comparison of the configurations; None if there is none. A sweep that is complete stays so without."""
    pictures = Pictures()
    try:
        found = write_comparison(folder, pictures)
    except DlexpError as error:
        reporter.say(f"not compared: {error}")
        return None
    for problem in pictures.undrawn:
        reporter.say(f"not plotted: {problem}")
    return found


class _Runner:
    """Runs the jobs of a sweep in a pool of processes."""

    def __init__(
        self,
        folder: Path,
        states: list[JobState],
        request: SweepRequest,
        shared: Shared,
        reporter: ProgressReporter[SweepProgress],
    ) -> None:
        self._folder, self._states, self._request = folder, states, request
        self._shared, self._reporter = shared, reporter
        self._pool = Pool(request.num_parallel)

    def run(self, stop: StopRequest) -> None:
        """Run all unfinished jobs in order; after a signal, running jobs are saved and no others start."""
        waiting = self._groups([state for state in self._states if state.state != FINISHED])
        while True:
            while waiting and not stop and self._pool.has_room:
                self._start(waiting.pop(0))
            if stop:
                self._pool.stop()
            if not self._pool.children:
                return
            for child, message in self._pool.events():
                states: list[JobState] = child.key
                if "epoch" in message:
                    self._record_progress(states[message.get("job", 0)], message)
                    continue
                for state in states:
                    if state.state == RUNNING:
                        self._record_end(state, message)

    def _groups(self, waiting: list[JobState]) -> list[list[JobState]]:
        """The jobs of each process, in order."""
        size = min(_LARGEST_STACK, -(-len(waiting) // self._request.num_parallel)) if self._request.is_stacked else 1
        return [waiting[first : first + size] for first in range(0, len(waiting), max(1, size))]

    def write(self) -> dict[str, Any]:
        """Replace sweep.json; returns its content."""
        content = sweep_content(self._folder, self._request.overrides, self._states)
        write_json(self._folder / SWEEP, content)
        return content

    def _start(self, states: list[JobState]) -> None:
        jobs = [StackJob(f"job {state.number}", state.job.config, self._request_of(state)) for state in states]
        for state in states:
            state.state, state.reason, state.exit_code = RUNNING, "", None
        self.write()
        numbers = [f"{state.number:03d}" for state in states]
        if len(jobs) == 1:
            log, work = numbers[0], work_of_job(jobs[0].config, jobs[0].request)
        else:
            log, work = f"{numbers[0]}-{numbers[-1]}", work_of_stack(jobs, self._folder)
        self._pool.start(states, self._folder / "logs" / f"{log}.log", work)
        for state in states:
            self._reporter.observe(SweepProgress(state, self._states))

    def _request_of(self, state: JobState) -> Request:
        job = state.job
        return Request(
            job.overrides,
            (f"{self._request.command}\n# job {state.number} of {self._folder}: {job.name}",),
            state.folder,
            self._request.trusted,
            allow_changes=self._request.allow_changes,
            bundle=self._shared.bundle_for(job.config),
        )

    def _record_progress(self, state: JobState, message: dict[str, Any]) -> None:
        """Record an epoch of a job, or the end of one of several jobs of a process."""
        if "outcome" in message:
            self._record_end(state, message["outcome"])
            return
        state.epoch, state.value = message["epoch"], float(message["value"])
        self._reporter.observe(SweepProgress(state, self._states))

    def _record_end(self, state: JobState, message: dict[str, Any]) -> None:
        if message.get("finished"):
            state.finish()
        elif "interrupted" in message:
            state.state, state.reason = INTERRUPTED, "stopped by a signal; can be resumed"
        else:
            state.state, state.reason = FAILED, str(message["failed"])
            state.exit_code = int(message.get("exit_code", 1))
        self.write()
        self._reporter.observe(SweepProgress(state, self._states))
