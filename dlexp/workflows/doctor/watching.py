"""The doctor of a run that is training, with trainer.doctor=true: an observer that tells what is surely wrong, once.

It reads numbers that the run has: the metrics of each epoch, and the gradients of one of its updates. Nothing that it
does can change the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan, sqrt
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.files.reading import is_there, read_text
from dlexp.artifacts.files.writing import finite_or_none, write_text
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.training import TrainingSetup
from dlexp.data.loaders import EvalBatches
from dlexp.diagnosis.measures.constant_output import constant_loss
from dlexp.diagnosis.rules.while_training import WHILE_TRAINING, EpochsSoFar
from dlexp.diagnosis.verdict import Verdict
from dlexp.engine.loop import EpochRecord, Observer, StepRecord
from dlexp.runtime.seed import kept_randomness, order
from dlexp.specs import ClassSpec
from dlexp.text.quoting import command

FILE = "doctor.jsonl"  # a line for each finding, in the directory of the run
_REMEMBERED = 3  # epochs whose watched update is kept
_FOR_CONSTANT = 512  # training samples


def watchers(run: RunDir, setup: TrainingSetup, say: Callable[[str], None]) -> Sequence[Observer]:
    """The observer of a run with trainer.doctor=true, none otherwise.

    Args:
        run: Whose metrics.csv ends with the epoch that training begins after.
        setup: Its training.
        say: Receives a line for each finding.
    """
    return (_Watcher(run, setup, say).observe,) if setup.experiment.config.trainer.doctor else ()


class _Watcher:
    """Looks at each epoch of a run."""

    def __init__(self, run: RunDir, setup: TrainingSetup, say: Callable[[str], None]) -> None:
        self._path, self._setup, self._say = run / FILE, setup, say
        names, rows = read_metrics(run / "metrics.csv")
        rows = rows[: setup.state.epoch]
        self._columns = {name: [float(row[name]) if row[name] else nan for row in rows] for name in names}
        self._reported = events_until(self._path, setup.state.epoch)
        if is_there(self._path):
            self._write()
        self._gradients: list[Mapping[str, float | None]] = []
        self._epoch = 0  # whose update was watched
        self._skipped = setup.state.nonfinite.skipped
        self._constant = _constant(setup)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Watch the update in the middle of each epoch, and judge at its end."""
        if isinstance(record, StepRecord):
            if record.epoch != self._epoch and record.batch >= record.num_batches / 2:
                self._epoch = record.epoch
                self._gradients = [*self._gradients[1 - _REMEMBERED :], self._watched()]
            return
        for name, value in record.values.items():
            self._columns.setdefault(name, []).append(float(value))
        state, config = self._setup.state, self._setup.experiment.config
        rate, targets = config.optim.arguments.get("lr"), self._setup.experiment.bundle.spec.targets
        seen = EpochsSoFar(
            self._columns,
            len(targets.names) if isinstance(targets, ClassSpec) else 0,
            self._constant,
            float(rate) if isinstance(rate, int | float) else None,
            self._gradients,
            state.nonfinite.skipped - self._skipped,
            self._setup.steps_per_epoch,
        )
        self._skipped = state.nonfinite.skipped
        reported = {event["code"] for event in self._reported}
        for rule in WHILE_TRAINING:
            for verdict in rule(seen):
                if verdict.code not in reported:
                    self._tell(verdict)

    def _watched(self) -> dict[str, float | None]:
        """Trained parameter -> root mean square of its gradient; {} where gradients are not kept."""
        named = [(name, p) for name, p in self._setup.state.networks.named_parameters() if p.requires_grad]
        some = [(name, p, p.grad.to_dense() if p.grad.is_sparse else p.grad) for name, p in named if p.grad is not None]
        if not some:
            return {}
        with torch.no_grad():
            norms = torch.stack(torch._foreach_norm([gradient for _, _, gradient in some])).tolist()
        sizes = {
            name: norm / sqrt(max(1, p.numel())) for (name, p, _), norm in zip(some, norms, strict=True) if p.dim() > 1
        }
        known = {name for name, _, _ in some}
        return {name: sizes.get(name) for name, p in named if name in sizes or name not in known}

    def _tell(self, verdict: Verdict) -> None:
        self._reported.append(finite_or_none(verdict.as_dict()))
        self._write()
        evidence = "; ".join(one.text() for one in verdict.evidence)
        proof = f"prove it with {command('doctor', self._path.parent)}"
        advice = f"{' '.join(verdict.remedy)} may help; {proof}" if verdict.remedy else proof
        self._say(f"doctor: {verdict.severity} {verdict.code}: {verdict.what} ({evidence}); {advice}")

    def _write(self) -> None:
        write_text(self._path, "".join(json.dumps(event) + "\n" for event in self._reported))


def _constant(setup: TrainingSetup) -> float | None:
    """The loss of the best constant output over some training samples."""
    experiment = setup.experiment
    count = len(experiment.bundle.splits["train"])
    few = experiment.bundle.with_split_subset("train", order(count, experiment.config.seed, 0)[:_FOR_CONSTANT])
    with kept_randomness():
        batches = list(EvalBatches(few, "train", experiment.config.eval_batch_size, experiment.device))
        found = constant_loss(experiment.task, experiment.networks, batches, experiment.config.seed)
    return found if found is not None and isfinite(found) else None


def events_until(path: Path, epoch: int) -> list[dict[str, Any]]:
    """The findings up to an epoch; a damaged file has none."""
    if not is_there(path):
        return []
    found = []
    for line in read_text(path).splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "code" in event and (event.get("epoch") or 0) <= epoch:
            found.append(event)
    return found
