"""A run as its directory tells it: what was asked, how it ended, what came out. Read from JSON and CSV alone.

Nothing here loads torch, Hydra or YAML, so that a table of a hundred runs is there at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_there, read_text
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir, Status
from dlexp.artifacts.runs.run_files import OF_A_RUN, read_run_file
from dlexp.errors import ConfigError, DlexpError

DIED = "died"  # the word of status.json is `running`, and nobody is there
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class RunSummary:
    """A run of `dlexp train`.

    path     its directory
    meta     meta.json: code, machine, data, size and, under `config`, the configuration
    choices  group -> option
    status   state, epoch, reason; the state of a run whose process is gone is `died`
    """

    path: Path
    meta: Mapping[str, Any]
    choices: Mapping[str, str]
    status: Status

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as plain nested values."""
        found: Mapping[str, Any] = self.meta["config"]
        return found

    @property
    def seed(self) -> int:
        """Of weights, order, augmentation and dropout."""
        return int(self.config["seed"])

    @property
    def directions(self) -> Mapping[str, str]:
        """Metric -> min or max."""
        found: Mapping[str, str] = self.config["task"].get("_metrics_") or {"loss": "min"}
        return found

    @property
    def monitor(self) -> str:
        """Full name of the metric that decides which epoch is best."""
        return str(self.config["trainer"]["monitor"] or self.config["task"]["monitor"])

    @cached_property
    def epochs(self) -> list[dict[str, str]]:
        """The rows of metrics.csv."""
        return read_metrics(self.path / "metrics.csv")[1]

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """summary.json, {} until the run has one."""
        path = self.path / "summary.json"
        return read_run_file(path) if is_there(path) else {}

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """split/name -> value: validation at the best epoch so far, and every split that was evaluated."""
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
        """Of training, as far as it has gone."""
        if self.status.state == "finished" and "seconds" in self.summary:
            return float(self.summary["seconds"])
        return sum(float(row["seconds"]) for row in self.epochs if row.get("seconds"))

    def _best_epoch(self) -> dict[str, float]:
        """The validation metrics of the epoch that the monitored one calls best; {} before the first."""
        key, sign = self.monitor, 1 if self.directions.get(self.monitor.partition("/")[2]) == "max" else -1
        rows = [row for row in self.epochs if row.get(key) and isfinite(float(row[key]))]
        if not rows:
            return {}
        best = max(rows, key=lambda row: sign * float(row[key]))
        return {name[4:]: float(value) for name, value in best.items() if name.startswith("val/") and value}


def read_run_summary(folder: Path) -> RunSummary:
    """The run in `folder`. Raises ConfigError where there is none, DlexpError where its files cannot be read."""
    run = RunDir.find(folder)
    meta = read_run_file(run / "meta.json", needs=OF_A_RUN)
    return RunSummary(run.path, meta, _choices(run / "config.yaml"), true_status(run))


def true_status(run: RunDir) -> Status:
    """How far a run got; `died` where its last word was that it runs, and no process is there."""
    status = run.status()
    return replace(status, state=DIED) if status.died else status


def _choices(path: Path) -> dict[str, str]:
    """group -> option, from the head of a config.yaml as dlexp writes it: plain `  group: option` lines come first."""
    try:
        first, *lines = read_text(path, errors="replace").split("\n")
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error
    if first.rstrip() != "choices:":
        raise ConfigError.one(str(path), "", "is not the config.yaml of a dlexp run", code="incompatible-run")
    found: dict[str, str] = {}
    for line in lines:
        group, colon, option = line.strip().partition(":")
        if not line.startswith("  ") or not colon:
            break
        found[group] = option.strip().strip("'\"")
    return found
