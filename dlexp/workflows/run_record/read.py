"""Summary of a run, read from the JSON and CSV files of its directory.

It imports neither torch nor hydra nor yaml, so that a table of a hundred runs is fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_there, read_text
from dlexp.artifacts.files.writing import read_object
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir, Status
from dlexp.artifacts.runs.run_files import OF_A_RUN, read_run_file
from dlexp.config.check.metrics import directions
from dlexp.errors import ConfigError, DlexpError

DIED = "died"  # status.json says `running`, but the process no longer exists
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RunSummary:
    """A run of `dlexp train`.

    Attributes:
        path: Its directory.
        choices: Group -> option.
        status: State, epoch and reason; the state is `died` if the process no longer exists.
        checked_meta: meta.json, if it has been read; else it was checked by an earlier listing, and is read when asked
            for.
    """

    path: Path
    choices: Mapping[str, str]
    status: Status
    checked_meta: Mapping[str, Any] | None = None

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """meta.json: code, machine, data, size and, under `config`, the configuration."""
        return read_object(self.path / "meta.json") if self.checked_meta is None else self.checked_meta

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as plain nested values."""
        found: Mapping[str, Any] = self.meta["config"]
        return found

    @property
    def seed(self) -> int:
        """The seed of weights, order, augmentation and dropout."""
        return int(self.config["seed"])

    @property
    def directions(self) -> Mapping[str, str]:
        """Metric -> min or max."""
        return {name[4:]: way for name, way in directions(self.config).items() if name.startswith("val/")}

    @property
    def monitor(self) -> str:
        """Full name of the metric that selects the best epoch."""
        return str(self.config["trainer"]["monitor"] or self.config["task"]["monitor"])

    @cached_property
    def epochs(self) -> list[dict[str, str]]:
        """The rows of metrics.csv."""
        return read_metrics(self.path / "metrics.csv")[1]

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """summary.json, {} before the run has finished."""
        path = self.path / "summary.json"
        return read_run_file(path) if is_there(path) else {}

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """split/name -> value: validation at the best epoch so far, and all evaluated splits."""
        found: dict[str, Any] = {}
        evaluated = self.path / "eval"
        for split in SPLITS:
            report = evaluated / split / "report.json"
            if is_there(report):
                values = read_run_file(report).get("metrics", {})
                found |= {f"{split}/{name}": value for name, value in values.items()}
        best = self.summary.get("best") if self.status.state == "finished" else None
        found |= {f"val/{name}": value for name, value in (best or self._best_epoch()).items()}
        return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}

    @property
    def seconds(self) -> float:
        """Training time so far, in seconds."""
        if self.status.state == "finished" and "seconds" in self.summary:
            return float(self.summary["seconds"])
        return sum(float(row["seconds"]) for row in self.epochs if row.get("seconds"))

    def _best_epoch(self) -> dict[str, float]:
        """The validation metrics of the best epoch by the monitored metric; {} before the first epoch."""
        key, sign = self.monitor, 1 if self.directions.get(self.monitor.partition("/")[2]) == "max" else -1
        rows = [row for row in self.epochs if row.get(key) and isfinite(float(row[key]))]
        if not rows:
            return {}
        best = max(rows, key=lambda row: sign * float(row[key]))
        return {name[4:]: float(value) for name, value in best.items() if name.startswith("val/") and value}


def read_run_summary(folder: Path) -> RunSummary:
    """The run in `folder`. Raises ConfigError if there is none, DlexpError if its files cannot be read."""
    run = RunDir.find(folder)
    meta = read_run_file(run / "meta.json", needs=OF_A_RUN)
    return RunSummary(run.path, _choices(run / "config.yaml"), true_status(run), meta)


def true_status(run: RunDir) -> Status:
    """The status of a run, with the state `died` if it is `running` but its process no longer exists."""
    status = run.status()
    return replace(status, state=DIED) if status.died else status


def _choices(path: Path) -> dict[str, str]:
    """group -> option, from the first lines of a config.yaml written by dlexp: `  group: option`."""
    try:
        first, *lines = read_text(path, errors="replace").split("\n")
    except OSError as error:
        raise DlexpError(f"cannot read {path}: {error.strerror}", code="system-error") from error
    if first.rstrip() != "choices:":
        raise ConfigError.one(str(path), "", "is not a config.yaml written by dlexp", code="incompatible-run")
    found: dict[str, str] = {}
    for line in lines:
        group, colon, option = line.strip().partition(":")
        if not line.startswith("  ") or not colon:
            break
        found[group] = option.strip().strip("'\"")
    return found
