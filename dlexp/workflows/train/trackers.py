"""Experiment trackers of a run: TensorBoard, MLflow and Weights & Biases."""

from __future__ import annotations

import importlib.util
import netrc
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_files import LOGGERS_FILE, read_run_file
from dlexp.assemble.experiment import Experiment
from dlexp.config.schema.run import LoggerConfig, RunConfig
from dlexp.config.schema.tree import leaves
from dlexp.errors import ConfigError, DlexpError, Interrupted, Problem
from dlexp.loggers.mlflow import Mlflow
from dlexp.loggers.relay import Card, Relay, Sink, TrackerNames
from dlexp.loggers.secrets import without_credentials
from dlexp.loggers.tensorboard import TensorBoard
from dlexp.loggers.wandb import Wandb
from dlexp.runtime.machine import git_state

_KINDS = ("tensorboard", "mlflow", "wandb")
_INTERRUPTED_SECONDS = 5.0  # a scheduler that sends a signal soon kills the process
_SERVICE = "api.wandb.ai"


def check_loggers(config: RunConfig) -> None:
    """Raise ConfigError for trackers whose package or key is missing."""
    logger, problems = config.logger, []
    for kind in enabled_trackers(logger):
        if importlib.util.find_spec(kind) is None:
            remedy = f"Install it with pip install 'dlexp[{kind}]'"
            problems.append(
                Problem(f"logger.{kind}", "true", f"requires the package {kind}", remedy, code="missing-package")
            )
    if logger.wandb and _mode(logger) == "online" and not _has_key():
        rule = "requires a key, but WANDB_API_KEY is not set"
        problems.append(
            Problem(
                "logger.wandb_mode",
                "online",
                rule,
                "Set WANDB_API_KEY, run `wandb login`, or set logger.wandb_mode=offline",
                code="missing-requirement",
            )
        )
    if problems:
        raise ConfigError(problems)


def enabled_trackers(logger: LoggerConfig) -> list[str]:
    """The enabled trackers."""
    return [kind for kind in _KINDS if getattr(logger, kind)]


class Loggers:
    """The trackers of one run, as a context manager that closes them with a timeout."""

    def __init__(self, run: RunDir, experiment: Experiment, say: Callable[[str], None]) -> None:
        self._run, self._experiment, self._say = run, experiment, say
        self._logger = experiment.config.logger
        self._relays: dict[str, Relay] = {}
        self._reported: set[str] = set()
        self._kept: dict[str, Any] = {}
        self._lock, self._names = threading.Lock(), TrackerNames()

    def begin(self, step: int) -> None:
        """Open the trackers, each in its thread; `step` updates have been made."""
        names = enabled_trackers(self._logger)
        if not names:
            return
        path = self._run / LOGGERS_FILE
        self._kept = read_run_file(path) if is_there(path) else {}
        card = _card(self._run, self._experiment, step)
        for name in names:
            identity = str(self._kept.setdefault(name, {}).get("id", ""))
            sink = self._sink(name, replace(card, identity=identity))
            self._relays[name] = Relay(sink, self._id_saver(name), self._clean)

    def record(self, values: Mapping[str, float | int], prefix: str = "") -> None:
        """Send the values of an epoch or a step to all trackers; `prefix` distinguishes the two."""
        if not self._relays:
            return
        named = {f"{prefix}{name}": value for name, value in values.items() if name not in ("epoch", "step")}
        row = self._names.of(named)
        for name, relay in self._relays.items():
            relay.put((int(values["step"]), row))
            self._report_failure(name, relay)

    def finish(self, results: Mapping[str, float]) -> dict[str, Any]:
        """Close the trackers of a finished run; returns the state of each, {} without trackers."""
        return self._end("finished", results, self._logger.patience)

    def __enter__(self) -> Loggers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        patience = min(self._logger.patience, _INTERRUPTED_SECONDS) if stopped else self._logger.patience
        try:
            self._end("interrupted" if stopped else "failed" if error else "finished", {}, patience)
        except DlexpError as second:  # a full disk must not hide the first failure
            if error is None:
                raise
            error.add_note(str(second))

    def _end(self, end: str, results: Mapping[str, float], patience: float) -> dict[str, Any]:
        relays, self._relays = self._relays, {}
        until = time.monotonic() + patience
        for relay in relays.values():
            relay.close(end, self._names.of(results))
        found = {}
        for name, relay in relays.items():
            relay.wait(until)
            self._report_failure(name, relay)
            found[name] = {"ok": not relay.problem, "problem": relay.problem, "lost": relay.lost}
        if found:
            with self._lock:
                self._kept |= {name: {**self._kept.get(name, {}), **state} for name, state in found.items()}
                write_json(self._run / LOGGERS_FILE, self._kept)
        return found

    def _report_failure(self, name: str, relay: Relay) -> None:
        """Report the failure of a tracker, once."""
        if relay.problem and name not in self._reported:
            self._reported.add(name)
            self._say(f"logger.{name} failed; training continues without it: {relay.problem}")

    def _id_saver(self, name: str) -> Callable[[str], None]:
        def remember(identity: str) -> None:
            with self._lock:
                self._kept[name] = {**self._kept.get(name, {}), "id": identity}
                write_json(self._run / LOGGERS_FILE, self._kept)

        return remember

    def _clean(self, text: str) -> str:
        return without_credentials(text, os.environ, [self._logger.mlflow_uri or ""])

    def _sink(self, name: str, card: Card) -> Sink:
        logger = self._logger
        if name == "mlflow":
            own = f"sqlite:///{(outputs_root() / 'mlflow.db').resolve()}"
            address = logger.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI") or own
            return Mlflow(card, address, logger.mlflow_experiment)
        if name == "wandb":
            return Wandb(card, logger.wandb_project, logger.wandb_entity, _mode(logger))
        return TensorBoard(card)


def _card(run: RunDir, experiment: Experiment, step: int) -> Card:
    """The metadata of a run for trackers: its saved configuration and identifying tags."""
    commit = git_state(Path.cwd())[0]
    tags = {
        "dlexp.run_dir": str(run.path.resolve()),
        "dlexp.data_fingerprint": str(experiment.bundle.fingerprint),
        "dlexp.split_hash": str(experiment.bundle.split_hash),
        "mlflow.source.name": "dlexp train",
        **({"mlflow.source.git.commit": str(commit["commit"])} if commit else {}),
    }
    params = dict(leaves(experiment.config.tree))
    return Card(run.path.name, str(run.path), first_step=step, params=params, tags=tags)


def _mode(logger: LoggerConfig) -> str:
    """offline or online: logger.wandb_mode, then WANDB_MODE, then offline."""
    return logger.wandb_mode or ("online" if os.environ.get("WANDB_MODE") == "online" else "offline")


def _has_key() -> bool:
    """Return whether there are credentials; a background thread cannot prompt for them."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "").partition("://")[2].partition("/")[0] or _SERVICE
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
