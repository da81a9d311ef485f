"""What a run directory tells of the course of its training."""

from __future__ import annotations

from contextlib import suppress
from math import isfinite, nan

from dlexp.artifacts.checkpoints.crash_capsule import capsules
from dlexp.artifacts.files.reading import is_file
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir, Status
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.config.schema.run import RunConfig
from dlexp.diagnosis.case import History
from dlexp.errors import DlexpError

_NOT_FINITE = 4  # exit code


def read_history(run: RunDir, config: RunConfig) -> History:
    """The rows of metrics.csv, and how the run ended."""
    names, rows = read_metrics(run / "metrics.csv")
    columns = {name: [float(row[name]) if row[name] else nan for row in rows] for name in names}
    ending = _ending_of_trial(run) if is_trial(run) else _ending(run.status())
    failed_at = _failed_at(run) if ending == "not finite" else None
    return History(columns, ending, _best(columns.get(config.monitor, []), config.maximize), failed_at)


def is_trial(run: RunDir) -> bool:
    """Whether a directory is that of a trial of a study that has ended."""
    return is_file(run / "result.json") and not is_file(run / "status.json")


def _ending_of_trial(run: RunDir) -> str:
    return "interrupted" if read_run_file(run / "result.json").get("pruned") else "finished"


def _ending(status: Status) -> str:
    if status.exit_code == _NOT_FINITE:
        return "not finite"
    if status.state == "finished" and status.epoch < status.epochs:
        return "stopped early"
    return status.state


def _failed_at(run: RunDir) -> int | None:
    """The update, counted from 1, that the newest crash capsule is of; None without a capsule that can be read."""
    with suppress(DlexpError, KeyError, IndexError, ValueError, TypeError):
        return int(read_run_file(capsules(run.path)[-1] / "crash.json")["update"])
    return None


def _best(values: list[float], maximize: bool) -> int:
    sign = 1 if maximize else -1
    finite = [(sign * value, -number) for number, value in enumerate(values, start=1) if isfinite(value)]
    return -max(finite)[1] if finite else 0
