"""The workflow `dlexp tune`: runs the trials of a study, then confirms the best ones on new seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import check_claims, make_folder
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import leaves, shown
from dlexp.config.search import Search, rules_of
from dlexp.config.typed import with_values
from dlexp.data.bundle import DataBundle
from dlexp.errors import ConfigError, DlexpError, Interrupted, NoResult, reason_of
from dlexp.runtime.signals import StopRequest
from dlexp.tune.storage.backends import failures
from dlexp.tune.study import BASELINE, BaseConfig, Proposal, Study
from dlexp.workflows.process_pool import Child, Pool, wait_for_orphans
from dlexp.workflows.reporter import ProgressReporter, unbroken
from dlexp.workflows.tune.confirmation import fresh_seeds
from dlexp.workflows.tune.files import Confirmation, log_reference, write_end, write_progress
from dlexp.workflows.tune.trial import Job, known_value, prepare, work_of, work_of_stack

_STOPPED = "stopped by a signal or a budget"


@dataclass(frozen=True)
class TuneRequest:
    """Options of a study: its directory, the total number of trials, parallel jobs, storage, and trials of a stack."""

    folder: Path
    total: int
    jobs: int
    storage: str | None
    overrides: tuple[str, ...]
    trusted: tuple[str, ...]
    command: str = ""  # as typed, without passwords
    migrate: str | None = None
    stacked: int = 1


@dataclass(frozen=True)
class TrialRecord:
    """A change of a trial: it started, reported an epoch, or ended as complete, pruned, failed or requeued."""

    number: int
    state: str
    epoch: int = 0
    value: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class StudyProgress:
    """A trial that has reported, the number of finished trials and the best value."""

    trial: TrialRecord
    finished: int
    best: float | None


def tune(search: Search, request: TuneRequest, reporter: ProgressReporter[StudyProgress]) -> dict[str, Any]:
    """Run the study up to its total; returns study.json. Raises NoResult if no trial has a result."""
    if request.stacked > 1 and search.settings.trial_minutes:
        rule = "ends single trials, and those of a stack are trained together"
        minutes = search.settings.trial_minutes
        raise ConfigError.one("search.trial_minutes", minutes, rule, "Remove it, or --stacked.", code="cannot-combine")
    prepared = prepare(search.base, request.trusted)  # before creating a directory, since it may raise errors
    try:
        make_folder(request.folder)
    except OSError as error:
        raise DlexpError(f"cannot create {request.folder}: {reason_of(error)}", code="system-error") from error
    wait_for_orphans(request.folder)
    with RunDir(request.folder).lock(), failures(request.storage), _in_place(request.folder):
        rules, base = rules_of(search), BaseConfig(search.base.choices, dict(leaves(search.base.tree)))
        study = Study(request.folder.name, request.storage, request.folder, rules, search.space, request.trusted)
        study.begin(base, request.migrate)
        for note in study.notes:
            reporter.say(note)
        if study.num_finished() >= request.total:
            reporter.say(f"{request.folder} already has {study.num_finished()} trials. Increase the total with -n")
        with StopRequest() as stop:
            runner = Runner(search, request, study, unbroken(reporter, stop), *prepared)
            reason = runner.run(stop)
            if study.best() is None:
                write_end(request.folder, search, study, None, reason, request.command)
                raise NoResult(f"no trial of {request.folder} has a result ({reason}). See trials.csv for the reasons.")
            is_last = not study.num_elsewhere()  # only the last process has all trials
            verdict = runner.confirm(stop) if search.settings.confirm_top and is_last else None
        return write_end(request.folder, search, study, verdict, reason, request.command)


@contextmanager
def _in_place(folder: Path) -> Iterator[None]:
    """Replace an operating-system error by one about the directory if it was deleted."""
    try:
        yield
    except OSError:
        check_claims(folder)
        raise


class Runner:
    """Runs the trials of a study, and decides whether another one starts."""

    def __init__(
        self,
        search: Search,
        request: TuneRequest,
        study: Study,
        reporter: ProgressReporter[StudyProgress],
        bundle: DataBundle,
        threads: int,
    ) -> None:
        self._search, self._request, self._study, self._reporter = search, request, study, reporter
        self._bundle = bundle
        self._threads = max(1, threads // request.jobs)
        self._pool = Pool(request.jobs)
        self._last: dict[int, tuple[int, float]] = {}
        self._ended: set[int] = set()  # trials of a stack that is not over
        self._alone: list[tuple[Proposal, Job]] = []  # to be started next, each in a process of its own
        self._failures, self._last_failure = 0, ""
        self._is_behind = False  # a finished trial is missing in the files

    def run(self, stop: StopRequest) -> str:
        """Run trials up to the total or a budget; returns why it ended. Raises Interrupted after a signal."""
        reason = ""
        self._study.work_begins()
        while True:
            check_claims(self._request.folder)
            reason = reason or self._over_budget()
            while not stop and not reason and self._pool.has_room and self._start_next():
                reason = self._over_budget()
            if self._is_behind:
                write_progress(self._request.folder, self._search, self._study)  # while the next trials run
                self._is_behind = False
            if stop or reason:
                self._pool.stop()
            if not self._pool.children:
                break
            self._listen()
            self._study.beat()
        for proposal, _ in self._alone:
            self._study.requeue(proposal.trial, _STOPPED)
        self._raise_if(stop)
        return reason or self._study.progress()

    def _raise_if(self, stop: StopRequest) -> None:
        if stop:
            text = f"{stop.name} received; {self._study.num_finished()} of {self._request.total} trials are saved"
            raise Interrupted(f"{text}. Run the same command again to continue.", stop.exit_code)

    def confirm(self, stop: StopRequest) -> Confirmation:
        """Train the best trials and the baseline again on new seeds, and compare them."""
        settings, base = self._search.settings, self._search.base
        best = self._study.ranked()[: settings.confirm_top]
        configs = {"baseline": base}
        for trial in best:
            if not trial.user_attrs.get(BASELINE):  # it is the baseline itself
                configs[f"trial {trial.number}"] = self._search.config_of(*self._study.decode(trial))
        if len(configs) == 1:
            return Confirmation({}, "baseline", "no trial was better than the baseline")
        drawn = [self._study.decode(trial)[1].get("seed") for trial in self._study.trials()]
        seeds = fresh_seeds(base.seed, {seed for seed in drawn if seed is not None}, settings.confirm_seeds)
        values: dict[str, list[float]] = {name: [] for name in configs}
        queue = [(name, seed) for seed in seeds for name in configs]
        while (queue or self._pool.children) and not stop:
            check_claims(self._request.folder)
            while queue and self._pool.has_room:
                name, seed = queue.pop(0)
                folder = self._request.folder / "confirm" / f"{name.replace(' ', '-')}-seed-{seed}"
                job = self._job(with_values(configs[name], {"seed": seed}), {"seed": seed}, folder)
                known = known_value(job)
                if known is None:
                    self._pool.start(name, folder / "output.log", work_of(job))
                else:
                    values[name].append(known)
            for child, message in self._pool.events():
                if "epoch" in message:
                    child.reply(True)
                elif message.get("value") is not None:
                    values[child.key].append(float(message["value"]))
        while self._pool.children:
            self._pool.stop()
            for child, message in self._pool.events():
                if "epoch" in message:
                    child.reply(True)
        self._raise_if(stop)
        return Confirmation.of(values, base.maximize)

    def _start_next(self) -> bool:
        """Start another trial, or as many as form a stack; returns False if there is none."""
        started = self._alone[:1]
        del self._alone[:1]
        for _ in range(0 if started else self._request.stacked):
            proposal = self._study.ask(
                self._request.total, _choices(self._search), dict(leaves(self._search.base.tree))
            )
            if proposal is None:
                break
            job = self._job_of(proposal)
            if job is None and self._request.stacked == 1:
                return True
            if job is not None and proposal.is_alone:
                self._alone.append((proposal, job))
                break
            if job is not None:
                started.append((proposal, job))
        if not started:
            return bool(self._alone) and self._start_next()
        jobs = [job for _, job in started]
        work = work_of(jobs[0]) if len(jobs) == 1 else work_of_stack(jobs)
        self._pool.start([proposal for proposal, _ in started], jobs[0].folder / "output.log", work)
        for proposal, _ in started:
            self._report(TrialRecord(proposal.trial.number, "running", params=proposal.trial.params))
        return True

    def _job_of(self, proposal: Proposal) -> Job | None:
        """What a trial trains; None, with the trial failed, for values that are valid separately but not together."""
        search, number = self._search, proposal.trial.number
        try:
            config = search.base if proposal.is_baseline else search.config_of(proposal.chosen, proposal.values)
        except ConfigError as error:
            self._failed(proposal, str(error))
            return None
        origin = proposal.continues if proposal.continues is not None else number
        folder = self._request.folder / "trials" / f"{origin:04d}"
        proposal.trial.set_user_attr("folder", str(folder.relative_to(self._request.folder)))
        stop = search.settings.stop
        job = self._job(config, {**proposal.chosen, **proposal.values}, folder)
        return replace(job, stop=(stop,) if isinstance(stop, str) else tuple(stop))

    def _job(self, config: RunConfig, changes: Mapping[str, Any], folder: Path) -> Job:
        overrides = (
            *(o for o in self._request.overrides if not o.startswith("search")),
            *(f"{k}={shown(v)}" for k, v in changes.items()),
        )
        bundle = self._bundle if config.data == self._search.base.data else None
        return Job(config, overrides, folder, self._request.trusted, bundle, self._threads)

    def _listen(self) -> None:
        for child, message in self._pool.events():
            proposals: list[Proposal] = child.key
            if "epoch" not in message:
                for proposal in proposals:
                    if proposal.trial.number not in self._ended:
                        self._record_end(child, proposal, message, is_of_stack=len(proposals) > 1)
                continue
            proposal = proposals[message.get("job", 0)]
            trial = proposal.trial
            if "outcome" in message:  # of one trial of a stack
                self._ended.add(trial.number)
                self._record_end(child, proposal, message["outcome"])
                continue
            epoch, value = message["epoch"], float(message["value"])
            child.reply(not self._study.report(trial, epoch, value))
            self._last[trial.number] = (epoch, value)
            self._report(TrialRecord(trial.number, "running", epoch, value, trial.params))

    def _record_end(
        self, child: Child, proposal: Proposal, message: Mapping[str, Any], *, is_of_stack: bool = False
    ) -> None:
        """Record the outcome of a trial; `is_of_stack`: the message is of the process of several, any of which may be
        the reason."""
        trial = proposal.trial
        epoch, value = self._last.get(trial.number, (0, math.nan))
        self._is_behind = True
        if message.get("interrupted") and child.is_late:
            reason, state = "exceeded search.trial_minutes", "pruned"
            self._study.prune(trial, reason)
        elif message.get("interrupted"):
            self._study.requeue(trial, _STOPPED)
            state, reason = "requeued", _STOPPED
        elif "failed" in message and is_of_stack:
            state, reason = "requeued", f"the process of its stack: {message['failed']}; it is trained alone"
            self._study.requeue(trial, reason, alone=True)
        elif "failed" in message:
            self._failed(proposal, str(message["failed"]))
            return
        elif message["pruned"]:
            found = str(message.get("reason", ""))
            self._study.prune(trial, found)
            state, reason = "pruned", f"after epoch {epoch}{f', {found}' if found else ''}"
        elif message["value"] is None or not math.isfinite(message["value"]):
            self._failed(proposal, "the metric has no finite value")
            return
        else:
            value, state, reason = float(message["value"]), "complete", ""
            self._study.complete(trial, value)
        self._failures = 0
        self._report(TrialRecord(trial.number, state, epoch, value, trial.params, reason))

    def _failed(self, proposal: Proposal, reason: str) -> None:
        trial = proposal.trial
        self._study.fail(trial, reason)
        self._failures += 1
        self._is_behind = True
        self._last_failure = f"trial {trial.number}: {reason}{log_reference(self._request.folder, trial.user_attrs)}"
        epoch, value = self._last.get(trial.number, (0, math.nan))
        self._report(TrialRecord(trial.number, "failed", epoch, value, trial.params, reason))

    def _report(self, record: TrialRecord) -> None:
        best = self._study.best()
        self._reporter.observe(StudyProgress(record, self._study.num_finished(), best.value if best else None))

    def _over_budget(self) -> str:
        """Why no more trials should start, "" if they may; also stops trials that exceed their time limit."""
        settings, best = self._search.settings, self._study.best()
        for child in self._pool.children:
            too_long = settings.trial_minutes and time.monotonic() - child.started > 60 * settings.trial_minutes
            if too_long and (child.is_late or child.stop_requested is None):
                child.is_late = True
                child.stop()
        if settings.hours and self._study.hours() > settings.hours:
            return f"search.hours={settings.hours:g} exceeded"
        if settings.patience and self._study.since_best() >= settings.patience:
            return f"no improvement in {self._study.since_best()} trials (search.patience={settings.patience})"
        if self._failures >= settings.max_failures:
            return f"{self._failures} trials failed in a row (search.max_failures); last: {self._last_failure}"
        if settings.target is not None and best is not None and best.value is not None:
            reached = best.value >= settings.target if self._search.base.maximize else best.value <= settings.target
            return f"search.target={settings.target:g} reached" if reached else ""
        return ""


def _choices(search: Search) -> dict[str, str]:
    """The baseline options of the searched groups."""
    return {group: search.base.choices[group] for group in search.space.groups}
