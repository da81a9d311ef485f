"""Logging to MLflow: a local database or a tracking server."""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlexp.loggers.relay import Card, Row

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_MOST_METRICS, _MOST_PARAMS, _LONGEST_PARAM = 1000, 100, 6000  # per request, limits of MLflow
# Unreachable servers are given up after seconds instead of minutes; telemetry is off.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Mlflow:
    """An MLflow run: parameters and tags at the start, metrics by update, the status at the end.

    Args:
        card: Description of the run.
        address: sqlite:///FILE, http://HOST:PORT, or another tracking URI.
        experiment: Name of the experiment.
    """

    def __init__(self, card: Card, address: str, experiment: str) -> None:
        self._card, self._address, self._experiment = card, address, experiment
        self._client: Any = None
        self._run_id = card.identity

    def open(self, remember: Callable[[str], None]) -> None:
        """Create the run, or resume the one of `card.identity`."""
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        with _alone(self._address):  # one of several concurrent runs creates the tables
            self._client = importlib.import_module("mlflow").MlflowClient(tracking_uri=self._address)
            if self._run_id:
                self._client.update_run(self._run_id, status="RUNNING")
                return
            self._run_id = self._begun()
        remember(self._run_id)
        entities = importlib.import_module("mlflow.entities")
        params = [entities.Param(key, str(value)[:_LONGEST_PARAM]) for key, value in self._card.params.items()]
        for some in _parts(params, _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=some)

    def write(self, rows: Sequence[Row]) -> None:
        """Log metrics by update."""
        metric, now = importlib.import_module("mlflow.entities").Metric, int(1000 * time.time())
        metrics = [metric(name, float(value), now, step) for step, values in rows for name, value in values.items()]
        for some in _parts(metrics, _MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=some)

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """Log the results as metrics `best/...`, and set the status FINISHED, FAILED or KILLED."""
        if results:
            self.write([(0, {f"best/{name}": value for name, value in results.items()})])
        self._client.set_terminated(self._run_id, _STATUS[end])

    def _begun(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        number = found.experiment_id if found else self._client.create_experiment(self._experiment)
        run = self._client.create_run(number, run_name=self._card.name, tags=dict(self._card.tags))
        return str(run.info.run_id)


@contextmanager
def _alone(address: str) -> Iterator[None]:
    """Lock a database file among the processes of this machine."""
    if not address.startswith("sqlite:///"):
        yield
        return
    path = Path(address.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _parts(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
