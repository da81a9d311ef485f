"""The workflow `dlexp verify`: compares stopped and resumed runs bit by bit with an uninterrupted one.

It has no training loop: it calls `train` and `resume`, with a stop request that trips at chosen positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.checkpoints.state_diff import Compared, state_differences
from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import remove_folder, write_json
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.training import prepare_training
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.errors import ConfigError, Interrupted
from dlexp.findings import counted
from dlexp.runtime.signals import StopRequest
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.reporter import Reporter, Silent
from dlexp.workflows.run_record.write import experiment_facts
from dlexp.workflows.train.auto import resolve_auto
from dlexp.workflows.train.train import Request, resume, train
from dlexp.workflows.verify.stop_points import Killed, Place, Tripwire, places_of

_CLOCK = ("seconds", "samples_per_s")  # columns of metrics.csv that differ between any two runs
_MAX_DIFFERENCES = 20  # listed in verify.json; others are only counted
_DROPPED = "the verification was discarded; other files are unchanged"


@dataclass(frozen=True)
class VerifyRequest:
    """Options of a verification.

    Attributes:
        overrides: The overrides, as typed.
        command: The command line.
        at: Updates to stop after, () for one position of each kind.
        determinism: Whether to train twice without stopping and compare.
    """

    overrides: tuple[str, ...]
    command: tuple[str, ...]
    trusted: tuple[str, ...] = ()
    at: tuple[int, ...] = ()
    determinism: bool = False


@dataclass
class _Watch(Silent):
    """The reporter of one run: records the last update of each epoch, and updates the tripwire."""

    wire: Tripwire
    reporter: Reporter
    edges: list[int] = field(default_factory=list)  # the last update of each epoch
    step: int = 0

    def say(self, text: str) -> None:
        """Show a message to the user."""
        self.reporter.say(text)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Called after a step or an epoch."""
        if isinstance(record, StepRecord):
            self.step = record.step
        else:
            self.edges.append(self.step)
        self.wire.pass_by(record)


@dataclass(frozen=True)
class _Setting:
    """The shared state of a verification; `stop` receives signals between runs too."""

    folder: Path
    config: RunConfig
    request: VerifyRequest
    reporter: Reporter
    stop: StopRequest


def verify(config: RunConfig, request: VerifyRequest, reporter: Reporter) -> dict[str, Any]:
    """Train, stop, resume and compare; returns the verdict, which is also written to verify.json.

    Raises:
        ConfigError: An update to stop after does not exist.
        Interrupted: A signal was received.
    """
    config, _ = resolve_auto(config, request.trusted, reporter)
    experiment = prepared(config, request.trusted)  # before creating a directory: the parts may be incompatible
    per_epoch = prepare_training(experiment).steps_per_epoch
    last = per_epoch * config.trainer.epochs
    for step in request.at:
        if not 1 <= step <= last:
            rule = f"must be an update of this run, from 1 to {last}"
            raise ConfigError.one("--at", step, rule, f"An epoch has {per_epoch} updates.", code="out-of-range")
    val_batches = len(experiment.split("val"))
    facts = {**experiment_facts(experiment), "deterministic": config.deterministic, "epochs": config.trainer.epochs}
    folder = RunDir.create("verify", config.name or f"{config.model.option}-{config.data.option}", None).path
    try:
        with StopRequest() as stop, claimed(folder):
            verdict = _verdict(_Setting(folder, config, request, reporter, stop), val_batches)
    except (Interrupted, KeyboardInterrupt):
        remove_folder(folder)
        raise
    content = {"folder": str(folder), **facts, **verdict}
    write_json(folder / "verify.json", content)
    return content


def _verdict(here: _Setting, val_batches: int) -> dict[str, Any]:
    """Train an uninterrupted run and one for each position, and compare them; equal runs are deleted."""
    here.reporter.say(f"training {counted(here.config.trainer.epochs, 'epoch')} without stopping")
    watch, compared = _Watch(Tripwire(None), here.reporter), Compared()
    whole = here.folder / "whole"
    _begin(whole, here, watch)
    left_out: list[str] = []
    if here.request.determinism:
        checks = [_check(None, here, compared)]
    else:
        places, left_out = places_of(watch.edges, val_batches, here.config.trainer.accumulate, here.request.at)
        checks = [_check(place, here, compared) for place in places]
    equal = all(check["equal"] for check in checks)
    rows = len(read_metrics(whole / "metrics.csv")[1])
    if equal:
        remove_folder(whole)
    return {
        "updates": watch.step,
        "equal": equal,
        "determinism": here.request.determinism,
        "compared": {"tensors": compared.tensors, "numbers": compared.numbers, "values": compared.values, "rows": rows},
        "checks": checks,
        "left_out": left_out,
    }


def _check(place: Place | None, here: _Setting, counted: Compared) -> dict[str, Any]:
    """Compare a run that is stopped at `place` and resumed, or trained again if None, with the uninterrupted one."""
    name = place.name if place else "trained again"
    here.reporter.say(f"{name}: {'stopping, resuming and comparing' if place else 'comparing'}")
    own, stopped = here.folder / name.replace(" ", "-"), None
    _begin(own, here, _Watch(Tripwire(place), here.reporter))
    if place is not None:
        stopped = _position(own)
        _resume(own, here)
    found = state_differences(_outcome(here.folder / "whole"), _outcome(own), counted)
    first = list(islice(found, _MAX_DIFFERENCES))
    count = len(first) + sum(1 for _ in found)
    if not count:
        remove_folder(own)
    return {
        "place": name,
        "saved_at": stopped,
        "equal": not count,
        "num_differences": count,
        "first_tensor": next((str(one) for one in first if one.is_tensor), None),
        "differences": [one.as_dict() for one in first],
    }


def _begin(folder: Path, here: _Setting, watch: _Watch) -> None:
    """Train in `folder` until the end, or until the tripwire trips. Raises Interrupted for a real signal."""
    request = Request(here.request.overrides, here.request.command, folder, here.request.trusted)
    try:
        train(here.config, request, watch, watch.wire)
    except Killed:
        pass
    except Interrupted as error:
        if watch.wire.has_received_signal:
            raise Interrupted(f"{watch.wire.name} received; {_DROPPED}", error.exit_code) from None
    _refuse_stop(here)


def _resume(folder: Path, here: _Setting) -> None:
    """Resume as `dlexp train --resume` does, with the configuration of the run."""
    run, wire = RunDir.find(folder), Tripwire(None)
    try:
        resume(run, load_saved(run / "config.yaml"), here.request.trusted, _Watch(wire, here.reporter), wire)
    except Interrupted as error:
        raise Interrupted(f"{wire.name} received; {_DROPPED}", error.exit_code) from None
    _refuse_stop(here)


def _refuse_stop(here: _Setting) -> None:
    if here.stop:
        raise Interrupted(f"{here.stop.name} received; {_DROPPED}", here.stop.exit_code)


def _outcome(folder: Path) -> dict[str, Any]:
    """The final state of a run: weights, buffers, optimizer, scheduler, scaler, best epoch and metrics."""
    checkpoints = {name: read_checkpoint(folder / "checkpoints" / f"{name}.pt") for name in _saved(folder)}
    _, rows = read_metrics(folder / "metrics.csv")
    metrics = [{name: value for name, value in row.items() if name not in _CLOCK} for row in rows]
    return {**checkpoints, "metrics.csv": metrics}


def _saved(folder: Path) -> Iterator[str]:
    return (name for name in ("last", "best") if (folder / "checkpoints" / f"{name}.pt").is_file())


def _position(folder: Path) -> dict[str, int] | None:
    """Epoch, batch and step of the last checkpoint; None before the first."""
    path = folder / "checkpoints" / "last.pt"
    return dict(read_checkpoint(path)["position"]) if path.is_file() else None
