"""The files of a sweep: jobs.json, written once, and sweep.json, updated when a job changes.

outputs/sweep/<time>-<model>-<data>-<4hex>/
  jobs.json           format, overrides, and the configuration of every job
  sweep.json           overrides, jobs with their states and runs, counts, metrics
  000-<model>-<data>/  the run of a job
  logs/000.log         output of the job
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.format_number import FORMAT, KEY
from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_files import read_run_file, with_keys
from dlexp.artifacts.runs.run_tree import SWEEP_MARK, SWEEP_STATES
from dlexp.config.saved import load_plain, plain_config
from dlexp.config.sweep import SweepJob
from dlexp.errors import ConfigError, DlexpError
from dlexp.workflows.run_record.write import metrics_of

SWEEP = SWEEP_STATES
FINISHED, FAILED, INTERRUPTED, RUNNING, WAITING = "finished", "failed", "interrupted", "running", "waiting"


@dataclass
class JobState:
    """The state of a job.

    Attributes:
        state: waiting, running, finished, failed or interrupted.
        value: The monitored metric: of the last epoch while it runs, of the best epoch at the end.
        metrics: Those of its best epoch, once it is finished.
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
        """The number of epochs to train."""
        return self.job.config.trainer.epochs

    @property
    def is_begun(self) -> bool:
        """Return whether its run has started."""
        return (self.folder / "config.yaml").is_file()

    def refresh(self) -> None:
        """Read the state of its run, which takes precedence over sweep.json."""
        if not self.is_begun:
            return
        status = RunDir(self.folder).status()
        self.epoch = status.epoch
        if status.state == FINISHED:
            self.finish()

    def finish(self) -> None:
        """Read the result of its finished run."""
        summary = read_run_file(self.folder / "summary.json", needs=with_keys("epochs", "seconds", "best"))
        self.state, self.reason, self.exit_code = FINISHED, "", 0
        self.epoch, self.seconds = summary["epochs"], summary["seconds"]
        self.metrics = metrics_of(summary)
        self.value = self.metrics.get(self.job.config.monitor)

    def as_dict(self, root: Path) -> dict[str, Any]:
        """The job as plain values, with its run relative to `root`."""
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


def write_jobs(folder: Path, overrides: Sequence[str], jobs: Sequence[SweepJob]) -> None:
    """Save the configurations of a sweep, with environment variables by name."""
    content = [
        {"overrides": list(c.overrides), "varied": list(c.varied), "config": plain_config(c.config)} for c in jobs
    ]
    write_json(folder / SWEEP_MARK, {KEY: FORMAT, "overrides": list(overrides), "jobs": content})


def read_jobs(folder: Path) -> tuple[tuple[str, ...], tuple[SweepJob, ...]]:
    """(overrides, jobs) of a sweep, validated. Raises DlexpError or ConfigError."""
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
        raise DlexpError(f"{folder / SWEEP_MARK} is corrupted: not the jobs of a sweep", code="corrupted") from error


def states_of(folder: Path, jobs: Sequence[SweepJob]) -> list[JobState]:
    """The state of every job, with its run directory."""
    found = []
    for number, job in enumerate(jobs):
        config = job.config
        name = re.sub(r"[^\w.-]+", "-", config.run_name)
        state = JobState(number, job, folder / f"{number:03d}-{name}")
        state.refresh()
        found.append(state)
    return found


def sweep_content(folder: Path, overrides: Sequence[str], states: Sequence[JobState]) -> dict[str, Any]:
    """The content of sweep.json.

    metric  the monitored metric, None if the jobs differ in it
    best    number of the best finished job by that metric, None if there is none
    """
    monitors = {(state.job.config.monitor, state.job.config.maximize) for state in states}
    metric, maximize = next(iter(monitors)) if len(monitors) == 1 else (None, True)
    ranked = [s for s in states if metric and s.state == FINISHED and s.value is not None and s.value == s.value]
    pick = max if maximize else min
    best = pick(ranked, key=lambda s: (s.value or 0.0, -s.number if maximize else s.number)) if ranked else None
    return {
        "sweep": str(folder),
        "overrides": list(overrides),
        "metric": metric,
        "maximize": maximize,
        "counts": dict(Counter(state.state for state in states)),
        "best": best.number if best else None,
        "jobs": [state.as_dict(folder) for state in states],
    }


def unfinished_twin(overrides: Sequence[str], jobs: Sequence[SweepJob]) -> Path | None:
    """The newest unfinished sweep in outputs/sweep with the same overrides and jobs, None if there is none.

    Raises ConfigError if the sweep with these overrides has no valid jobs.json; other sweeps are ignored.
    """
    marks = [path for name in (SWEEP_MARK, SWEEP) for path in outputs_root().glob(f"sweep/*/{name}")]
    ages = {path.parent: path.stat().st_mtime_ns for path in reversed(marks)}  # of jobs.json if it exists
    for folder in sorted(ages, key=lambda folder: ages[folder], reverse=True):
        try:
            named = read_run_file(folder / SWEEP_MARK)["overrides"]
            is_twin = named == list(overrides) and holds(folder, jobs)
        except DlexpError as error:
            if error.code != "incompatible-run":
                _refuse_lost_jobs(folder, overrides, error)
            continue
        if is_twin:
            is_over = all(state.state == FINISHED for state in states_of(folder, jobs))
            return None if is_over else folder
    return None


def _refuse_lost_jobs(folder: Path, overrides: Sequence[str], error: DlexpError) -> None:
    """Raise ConfigError if, according to sweep.json, the sweep has the same overrides and is unfinished."""
    try:
        content = read_object(folder / SWEEP)
    except DlexpError:
        return
    counts = content.get("counts")
    if content.get("overrides") != list(overrides) or (isinstance(counts, dict) and set(counts) <= {FINISHED}):
        return
    rule = f"is corrupted, but {folder} is an unfinished sweep with these overrides ({str(error).splitlines()[0]})"
    remedy = f"Restore the file from a backup, or move {folder} out of {folder.parent} to start a new sweep."
    raise ConfigError.one(str(folder / SWEEP_MARK), "", rule, remedy, code="corrupted")


def holds(folder: Path, jobs: Sequence[SweepJob]) -> bool:
    """Return whether the sweep in `folder` has these jobs, regardless of trainer.threads."""
    return [_without_threads(job) for job in read_jobs(folder)[1]] == [_without_threads(job) for job in jobs]


def _without_threads(job: SweepJob) -> tuple[dict[str, str], dict[str, Any]]:
    tree = dict(job.config.tree)
    return dict(job.config.choices), tree | {"trainer": {**tree["trainer"], "threads": None}}
