"""A training watched by the rules that need no trials: for its doctor, and for a search that stops hopeless trials.

It reads numbers that the training has: the metrics of each epoch, and the gradients of one of its updates. Nothing that
it does can change the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan, sqrt
from pathlib import Path

import torch

from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.assemble.training import TrainingSetup
from dlexp.data.loaders import EvalBatches
from dlexp.diagnosis.measures.constant_output import constant_loss
from dlexp.diagnosis.rules.while_training import WHILE_TRAINING, EpochsSoFar, Rule
from dlexp.diagnosis.verdict import Verdict
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.runtime.seed import kept_randomness, order
from dlexp.specs import ClassSpec

_REMEMBERED = 3  # epochs whose watched update is kept
_FOR_CONSTANT = 512  # training samples


class EpochWatch:
    """Looks at each epoch of a training."""

    def __init__(self, folder: Path, setup: TrainingSetup, rules: Sequence[Rule] = WHILE_TRAINING) -> None:
        """
        Args:
            folder: Whose metrics.csv ends with the epoch that training begins after.
            setup: The training.
            rules: That judge each epoch.
        """
        self._setup, self._rules = setup, rules
        names, rows = read_metrics(folder / "metrics.csv")
        rows = rows[: setup.state.epoch]
        self._columns = {name: [float(row[name]) if row[name] else nan for row in rows] for name in names}
        self._gradients: list[Mapping[str, float | None]] = []
        self._epoch = 0  # whose update was watched
        self._start: float | None = None
        self._skipped = setup.state.nonfinite.skipped
        self._constant = _constant(setup)

    def observe(self, record: StepRecord | EpochRecord) -> list[Verdict]:
        """Watch the update in the middle of each epoch, and judge at its end; returns what is wrong by then."""
        if isinstance(record, StepRecord):
            if self._start is None:
                self._start = record.means().get("loss", nan)
            if record.epoch != self._epoch and record.batch >= record.num_batches / 2:
                self._epoch = record.epoch
                self._gradients = [*self._gradients[1 - _REMEMBERED :], self._watched()]
            return []
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
            self._start,
        )
        self._skipped = state.nonfinite.skipped
        return [verdict for rule in self._rules for verdict in rule(seen)]

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


def _constant(setup: TrainingSetup) -> float | None:
    """The loss of the best constant output over some training samples."""
    experiment = setup.experiment
    count = len(experiment.bundle.splits["train"])
    few = experiment.bundle.with_split_subset("train", order(count, experiment.config.seed, 0)[:_FOR_CONSTANT])
    with kept_randomness():
        batches = list(EvalBatches(few, "train", experiment.config.eval_batch_size, experiment.device))
        found = constant_loss(experiment.task, experiment.networks, batches, experiment.config.seed)
    return found if found is not None and isfinite(found) else None
