"""What a run directory tells of the course of its training."""

from __future__ import annotations

from math import isfinite, nan

from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir, Status
from dlexp.config.schema.run import RunConfig
from dlexp.diagnosis.case import History

_NOT_FINITE = 4  # exit code


def read_history(run: RunDir, config: RunConfig) -> History:
    """The rows of metrics.csv, and how the run ended."""
    names, rows = read_metrics(run / "metrics.csv")
    columns = {name: [float(row[name]) if row[name] else nan for row in rows] for name in names}
    status = run.status()
    return History(columns, _ending(status), _best(columns.get(config.monitor, []), config.maximize))


def _ending(status: Status) -> str:
    if status.exit_code == _NOT_FINITE:
        return "not finite"
    if status.state == "finished" and status.epoch < status.epochs:
        return "stopped early"
    return status.state


def _best(values: list[float], maximize: bool) -> int:
    sign = 1 if maximize else -1
    finite = [(sign * value, -number) for number, value in enumerate(values, start=1) if isfinite(value)]
    return -max(finite)[1] if finite else 0
