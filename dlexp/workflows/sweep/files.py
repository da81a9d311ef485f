"""What a sweep keeps beside its runs: jobs.json, written once, and sweep.json, replaced when a job changes.

outputs/sweep/<time>-<model>-<data>-<4hex>/
  jobs.json           the configuration of every job, so that a sweep goes on with what it began with
  sweep.json           words, jobs with their states and runs, counts, metrics
  000-<model>-<data>/  a run like any other, one a job
  logs/000.log         what the job's process printed
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_files import read_run_file, with_keys
from dlexp.artifacts.runs.run_tree import SWEEP_MARK
from dlexp.config.saved import load_plain, plain
from dlexp.config.sweep import SweepJob
from dlexp.errors import ConfigError, DlexpError
from dlexp.workflows.run_record.write import metrics_of

SWEEP = "sweep.json"
FINISHED, FAILED, INTERRUPTED, RUNNING, WAITING = "finished", "failed", "interrupted", "running", "waiting"


@dataclass
class JobState:
    """How far a job is.

    state    waiting, running, finished, failed or interrupted
    value    the monitored metric: of the last epoch while it runs, of the best one at the end
    metrics  those of its best epoch, once it is finished
    """

    number: int
    job: SweepJob
    folder: Path
    state: str = WAITING
    epoch: int = 0
    value: float | None = None
    reason: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """The epochs that it is to have."""
        return self.job.config.trainer.epochs

    @property
    def is_begun(self) -> bool:
        """Whether there is a run of it."""
        return (self.folder / "config.yaml").is_file()

    def look(self) -> None:
        """Take over what the job's run says of itself: a finished one stays, whatever sweep.json says."""
        if not self.is_begun:
            return
        status = RunDir(self.folder).status()
        self.epoch = status.epoch
        if status.state == FINISHED:
            self.finish()

    def finish(self) -> None:
        """Take over the result of a run that is finished."""
        summary = read_run_file(self.folder / "summary.json", needs=with_keys("epochs", "seconds", "best"))
        self.state, self.reason, self.exit_code = FINISHED, "", 0
        self.epoch, self.seconds = summary["epochs"], summary["seconds"]
        self.metrics = metrics_of(summary)
        self.value = self.metrics.get(self.job.config.monitor)

    def as_dict(self, root: Path) -> dict[str, Any]:
        """The job as plain values; its run as seen from the sweep's folder."""
        return {
            "number": self.number,
            "varied": dict(self.job.varied),
            "overrides": list(self.job.overrides),
            "run": str(self.folder.relative_to(root)),
            "state": self.state,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }


def write_jobs(folder: Path, words: Sequence[str], jobs: Sequence[SweepJob]) -> None:
    """Keep the configurations of a sweep; environment variables by their names."""
    content = [{"overrides": list(c.overrides), "varied": list(c.varied), "config": plain(c.config)} for c in jobs]
    write_json(folder / SWEEP_MARK, {"overrides": list(words), "jobs": content})


def read_jobs(folder: Path) -> tuple[tuple[str, ...], tuple[SweepJob, ...]]:
    """(words, jobs) that a sweep began with, checked like new ones. Raises DlexpError, and ConfigError."""
    content = read_run_file(folder / SWEEP_MARK)
    try:
        jobs = tuple(
            SweepJob(
                tuple(map(str, item["overrides"])),
                tuple((str(key), str(value)) for key, value in item["varied"]),
                load_plain(item["config"], {}),
            )
            for item in content["jobs"]
        )
        return tuple(map(str, content["overrides"])), jobs
    except (KeyError, TypeError, ValueError) as error:
        raise DlexpError(
            f"{folder / SWEEP_MARK} cannot be read: it does not hold the jobs of a sweep", code="corrupted"
        ) from error


def states_of(folder: Path, jobs: Sequence[SweepJob]) -> list[JobState]:
    """Every job with its run's directory, and how far that is."""
    found = []
    for number, job in enumerate(jobs):
        config = job.config
        name = re.sub(r"[^\w.-]+", "-", config.name or f"{config.model.option}-{config.data.option}")
        state = JobState(number, job, folder / f"{number:03d}-{name}")
        state.look()
        found.append(state)
    return found


def content_of(folder: Path, words: Sequence[str], states: Sequence[JobState]) -> dict[str, Any]:
    """The content of sweep.json.

    metric  what decides in every job, None where jobs differ in it
    best    number of the best finished job by that metric, None where there is none
    """
    monitors = {(state.job.config.monitor, state.job.config.maximize) for state in states}
    metric, maximize = next(iter(monitors)) if len(monitors) == 1 else (None, True)
    ranked = [s for s in states if metric and s.state == FINISHED and s.value is not None and s.value == s.value]
    pick = max if maximize else min
    best = pick(ranked, key=lambda s: (s.value or 0.0, -s.number if maximize else s.number)) if ranked else None
    return {
        "sweep": str(folder),
        "overrides": list(words),
        "metric": metric,
        "maximize": maximize,
        "counts": dict(Counter(state.state for state in states)),
        "best": best.number if best else None,
        "jobs": [state.as_dict(folder) for state in states],
    }


def unfinished_twin(words: Sequence[str], jobs: Sequence[SweepJob]) -> Path | None:
    """The newest sweep under outputs/sweep of the same line and the same jobs, unless all of those are finished.

    Raises ConfigError where the sweep of this line has lost its jobs.json; one of another line is passed over.
    """
    marks = [path for name in (SWEEP_MARK, SWEEP) for path in outputs_root().glob(f"sweep/*/{name}")]
    ages = {path.parent: path.stat().st_mtime_ns for path in reversed(marks)}  # of jobs.json where there is one
    for folder in sorted(ages, key=lambda folder: ages[folder], reverse=True):
        try:
            named = read_run_file(folder / SWEEP_MARK)["overrides"]
            is_twin = named == list(words) and holds(folder, jobs)
        except DlexpError as error:
            _refuse_lost_jobs(folder, words, error)
            continue
        if is_twin:
            is_over = all(state.state == FINISHED for state in states_of(folder, jobs))
            return None if is_over else folder
    return None


def _refuse_lost_jobs(folder: Path, words: Sequence[str], error: DlexpError) -> None:
    """Raise ConfigError where sweep.json says that the sweep is of this line and not finished."""
    try:
        content = read_object(folder / SWEEP)
    except DlexpError:
        return
    counts = content.get("counts")
    if content.get("overrides") != list(words) or (isinstance(counts, dict) and set(counts) <= {FINISHED}):
        return
    rule = f"cannot be used, and {folder} is the unfinished sweep of this line ({str(error).splitlines()[0]})"
    remedy = f"Restore the file from a copy, or move {folder} out of {folder.parent} to begin the sweep anew."
    raise ConfigError.one(str(folder / SWEEP_MARK), "", rule, remedy, code="corrupted")


def holds(folder: Path, jobs: Sequence[SweepJob]) -> bool:
    """Whether the sweep in `folder` is of these jobs; their shares of the cores may differ."""
    return [_without_threads(job) for job in read_jobs(folder)[1]] == [_without_threads(job) for job in jobs]


def _without_threads(job: SweepJob) -> tuple[dict[str, str], dict[str, Any]]:
    tree = dict(job.config.tree)
    return dict(job.config.choices), tree | {"trainer": {**tree["trainer"], "threads": None}}
