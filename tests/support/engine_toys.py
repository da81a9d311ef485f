"""A small run with everything a resumed one could get wrong: normalization, dropout, momentum, a short last batch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.data.preprocess import Affine
from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.loop import Course, EpochRecord, FitPlan, Observer, course, follow
from dlexp.engine.recovery import NonFiniteEvent, RecoveryHooks
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules
from dlexp.losses.classification import CrossEntropy
from dlexp.losses.regression import MSE
from dlexp.optim.parameter_groups import parameter_groups
from dlexp.optim.schedules import smooth
from dlexp.optim.schedules.base import Schedule
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import generator, seed_global
from dlexp.runtime.signals import NeverStop, StopRequest
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.tasks.classification import Classification
from dlexp.tasks.regression import Regression
from dlexp.types import Batch, as_tensor

CPU = torch.device("cpu")
FP32 = Precision("fp32", "cpu", "as configured")
NO_PENALTY = Penalty(0.0, 0.0)
SAMPLES, BATCH, BATCHES = 26, 4, 7  # the last batch holds two
CLOCK = ("seconds", "samples_per_s")
VALUES = DataSpec(TableSpec(3), ValueSpec(("y",), (0.0,), (1.0,)))
CLASSES = DataSpec(TableSpec(5), ClassSpec(("a", "b", "c")))


def rules(
    penalty: Penalty = NO_PENALTY, clip_norm: float | None = None, precision: Precision = FP32, seed: int = 7
) -> StepRules:
    """Rules of a step on the CPU."""
    return StepRules(precision, penalty, clip_norm, seed, check_every_step=True)


def values_task() -> Regression:
    """Three numbers in, one number out."""
    return Regression(spec=VALUES, loss=MSE())


def values_batch(count: int, dtype: torch.dtype = torch.float64, first_row: int = 0) -> Batch:
    """Noise, and targets that a line explains in part."""
    rng = generator(0, "values", first_row)
    inputs = torch.randn(count, 3, generator=rng, dtype=dtype)
    noise = torch.randn(count, 1, generator=rng, dtype=dtype)
    return Batch(inputs, inputs.sum(1, keepdim=True) + noise, torch.arange(first_row, first_row + count))


def split_batch(batch: Batch, *sizes: int) -> list[Batch]:
    """The same samples in several batches."""
    parts = zip(
        as_tensor(batch.inputs).split(sizes),
        as_tensor(batch.targets).split(sizes),
        batch.indices.split(sizes),
        strict=True,
    )
    return [Batch(*part) for part in parts]


def state_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, precision: Precision = FP32, maximize: bool = False
) -> TrainState:
    """A state at its beginning, with a constant rate."""
    schedule = smooth.constant(optimizer=optimizer, total_steps=100, steps_per_epoch=10)
    networks = nn.ModuleDict({"model": model})
    scaler = precision.scaler()
    return TrainState(networks, {"train": optimizer}, {"train": schedule}, scaler, BestSoFar(maximize))


class AskedStop(StopRequest):
    """Stops when told to, as if SIGTERM had come."""

    def ask(self) -> None:
        """What the handler does when the signal comes."""
        self._on_signal(signal.SIGTERM, None)


@dataclass
class WatchedBatches:
    """Batches of an evaluation that tell of every one that is read: (evaluation, batch), both from 1."""

    batches: EvalBatches
    on_read: Callable[[int, int], None]
    passes: int = 0

    def __iter__(self) -> Iterator[Batch]:
        self.passes += 1
        for number, batch in enumerate(self.batches, start=1):
            self.on_read(self.passes, number)
            yield batch


@dataclass
class Run:
    """A training run in `folder`; every one that is built alike begins alike."""

    folder: Path
    scheduler: str = "constant"
    accumulate: int = 1
    epochs: int = 3
    save_every_steps: int | None = None
    patience: int | None = None
    seed: int = 3
    rows: list[dict[str, float | int]] = field(default_factory=list)
    records: list[EpochRecord] = field(default_factory=list)
    observers: list[Observer] = field(default_factory=list)
    on_read: Callable[[int, int], None] = lambda evaluation, batch: None
    check_every_step: bool = True
    clip_norm: float | None = 1.0
    hooks: RecoveryHooks = field(default_factory=RecoveryHooks)
    task: Task = field(default_factory=lambda: Classification(spec=CLASSES, loss=CrossEntropy()))
    said: list[NonFiniteEvent] = field(default_factory=list)
    make_optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer] = lambda groups: torch.optim.SGD(
        groups, lr=0.1, momentum=0.9, weight_decay=1e-3
    )

    def __post_init__(self) -> None:
        self.store = CheckpointStore(self.folder, lambda text: None)
        seed_global(self.seed, "init")
        hidden = [nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3)]
        self.networks = nn.ModuleDict({"model": nn.Sequential(*hidden, nn.Linear(8, 3))})
        groups = parameter_groups([self.networks["model"]], False)
        self.optimizer = self.make_optimizer(groups)
        steps = -(-BATCHES // self.accumulate)
        schedule = schedule_named(self.scheduler, self.optimizer, steps, steps * self.epochs)
        best = BestSoFar(False, 0.0, self.patience)
        self.state = TrainState(self.networks, {"train": self.optimizer}, {"train": schedule}, FP32.scaler(), best)
        self.bundle = bundle()

    def fit(self, stop: StopRequest | None = None) -> str:
        """Train from where last.pt stands, or from the beginning, to the end."""
        return follow(self.course(stop))

    def course(self, stop: StopRequest | None = None) -> Course[str]:
        """The course of `fit`."""
        saved = self.store.load_last()
        if saved is not None:
            self.state.load_state_dict(saved)
        plan = FitPlan(
            task=self.task,
            train=TrainBatches(self.bundle, BATCH, self.seed, CPU),
            val=WatchedBatches(EvalBatches(self.bundle, "val", 4, CPU), lambda e, b: self.on_read(e, b)),
            rules=replace(rules(Penalty(0.0, 1e-4), self.clip_norm), check_every_step=self.check_every_step),
            epochs=self.epochs,
            accumulate=self.accumulate,
            monitor="val/loss",
            save_every_steps=self.save_every_steps,
            observers=[self._remember, *self.observers],
            recovery=self.hooks,
        )
        return course(plan, self.state, self.store, NeverStop() if stop is None else stop)

    def _remember(self, record: object) -> None:
        if isinstance(record, EpochRecord):
            self.records.append(record)
            self.rows.append({name: value for name, value in record.values.items() if name not in CLOCK})


def schedule_named(name: str, optimizer: torch.optim.Optimizer, steps_per_epoch: int, total_steps: int) -> Schedule:
    """One of each kind, with settings that show within three epochs."""
    if name == "cosine":
        return smooth.cosine(optimizer=optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    if name == "warmup":
        return smooth.cosine(
            optimizer=optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch, warmup_epochs=0.7
        )
    if name == "onecycle":
        return smooth.onecycle(optimizer=optimizer, total_steps=total_steps)
    if name == "plateau":
        return smooth.plateau(
            optimizer=optimizer,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
            maximize=False,
            patience=0,
            threshold=0.2,
        )
    return smooth.constant(optimizer=optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)


def bundle() -> DataBundle:
    """Three clouds of points that overlap."""
    rng = generator(1, "clouds")
    sizes = {"train": SAMPLES, "val": 10, "test": 10}
    splits, first = {}, 0
    for name, count in sizes.items():
        targets = torch.arange(count) % 3
        inputs = torch.randn(count, 5, generator=rng) + targets[:, None]
        splits[name] = Split.in_memory(inputs, targets, torch.arange(first, first + count))
        first += count
    return DataBundle(CLASSES, splits, Affine(torch.tensor(1.0), torch.tensor(0.0)), "", {})


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """The places where two checkpoints differ, in bits."""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        same = left.dtype == right.dtype and torch.equal(left, right)
        return [] if same else [path]
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return [f"{path}: keys {left.keys() ^ right.keys()}"]
        return [place for key in left for place in differences(left[key], right[key], f"{path}/{key}")]
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) != len(right):
            return [f"{path}: lengths"]
        pairs = enumerate(zip(left, right, strict=True))
        return [place for number, (a, b) in pairs for place in differences(a, b, f"{path}/{number}")]
    return [] if type(left) is type(right) and left == right else [f"{path}: {left!r} {right!r}"]
