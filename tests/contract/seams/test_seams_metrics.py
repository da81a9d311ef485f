"""Metrics and reports are made of states, for tasks of any kind: no list of predictions, no one target a sample."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Affine
from dlexp.engine.evaluate import evaluate
from dlexp.losses.classification import CrossEntropy
from dlexp.losses.embedding import Triplet
from dlexp.losses.hinge import Hinge
from dlexp.losses.regression import MSE, Quantile
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import RANKING, ClassSampleState
from dlexp.metrics.regression import ValueSampleState
from dlexp.metrics.reports.figures import Lines
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import LossState, MetricState
from dlexp.runtime.precision import Precision
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, MaskSpec, TableSpec, ValueSpec
from dlexp.tasks.base import Networks, Task
from dlexp.tasks.classification import Classification
from dlexp.tasks.metric_learning import MetricLearning
from dlexp.tasks.regression import Regression
from dlexp.types import Batch, LossOutput, Prediction, as_tensor
from dlexp.workflows.evaluate.files import report_facts, write_figures, write_tables

FP32 = Precision("fp32", "cpu", "")
COUNT, SIZES = 241, (100, 1, 64, 76)
VALUES = DataSpec(TableSpec(2), ValueSpec(("a", "b"), (0.0, 1.0), (1.0, 2.0)))


def classes_of(num_classes: int) -> DataSpec:
    names = tuple(f"c{n}" for n in range(num_classes))
    return DataSpec(TableSpec(num_classes), ClassSpec(names))


def case(kind: str) -> tuple[Task, DataSpec, Tensor, Tensor]:
    """(task, spec, outputs of the network, targets) of one kind."""
    rng = torch.Generator().manual_seed(0)
    if kind in ("values", "quantiles"):
        width = 6 if kind == "quantiles" else 2
        loss = Quantile([0.1, 0.5, 0.9]) if kind == "quantiles" else MSE()
        targets = torch.randn(COUNT, 2, generator=rng, dtype=torch.float64) + 5
        return Regression(spec=VALUES, loss=loss), VALUES, torch.randn(COUNT, width, generator=rng), targets
    num_classes = 2 if kind == "two classes" else 7
    spec, targets = classes_of(num_classes), torch.randint(num_classes, (COUNT,), generator=rng)
    outputs = torch.randn(COUNT, num_classes, generator=rng)
    outputs[torch.arange(COUNT), targets] += 1.5
    if kind == "embeddings":
        return MetricLearning(spec=spec, loss=Triplet(), embedding_size=num_classes), spec, outputs, targets
    return Classification(spec=spec, loss=Hinge() if kind == "scores" else CrossEntropy()), spec, outputs, targets


KINDS = ("two classes", "classes", "scores", "values", "quantiles", "embeddings")


def batches(outputs: Tensor, targets: Tensor, sizes: Sequence[int] = SIZES) -> list[Batch]:
    """The samples in several batches, numbered from 1000."""
    parts = zip(
        outputs.split(sizes), targets.split(sizes), (torch.arange(len(outputs)) + 1000).split(sizes), strict=True
    )
    return [Batch(*part) for part in parts]


def fed(task: Task, state: MetricState, parts: Sequence[Batch]) -> MetricState:
    return evaluate(task, nn.ModuleDict({"model": nn.Identity()}), parts, FP32, state, seed=0).state


def possible(task: Task) -> list[str]:
    """The extra metrics that the task can compute as it is configured."""
    found = []
    for name in task.extra_metrics:
        try:
            task.metric_state((name,))
        except Exception:
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_merged_halves_are_the_whole(kind: str) -> None:
    task, _, outputs, targets = case(kind)
    parts, names = batches(outputs, targets), possible(task)
    whole = fed(task, task.metric_state(names), parts).compute()
    assert whole.keys() == {*task.metrics, *names}
    first, second = (fed(task, task.metric_state(names), half) for half in (parts[:2], parts[2:]))
    second = pickle.loads(pickle.dumps(second))  # as it comes from another process
    first.merge(second)
    assert first.compute() == pytest.approx(whole, rel=1e-12, nan_ok=True)
    empty = task.metric_state(names)
    empty.merge(first)
    assert empty.compute() == pytest.approx(whole, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_of_merged_halves_is_that_of_the_whole(kind: str) -> None:
    task, spec, outputs, targets = case(kind)
    parts = batches(outputs, targets)
    whole = task.report(spec, fed(task, task.report_state(), parts), Resampling(100))
    first, second = (fed(task, task.report_state(), half) for half in (parts[:1], parts[1:]))
    first.merge(pickle.loads(pickle.dumps(second)))
    merged = task.report(spec, first, Resampling(100))
    assert (merged.metrics, merged.undefined, merged.intervals) == (whole.metrics, whole.undefined, whole.intervals)
    assert merged.facts == whole.facts
    assert merged.tables.keys() == whole.tables.keys()
    for name, table in whole.tables.items():
        assert [list(row) for row in merged.tables[name].rows] == [list(row) for row in table.rows], name
    assert merged.figures.keys() == whole.figures.keys()


@pytest.mark.parametrize("kind", ["two classes", "classes", "scores", "values"])
def test_an_epoch_and_a_report_give_a_metric_the_same_bits(kind: str) -> None:
    task, spec, outputs, targets = case(kind)
    parts, names = batches(outputs, targets), possible(task)
    epoch = fed(task, task.metric_state(names), parts).compute()
    report = task.report(spec, fed(task, task.report_state(), parts))
    assert {name: epoch[name] for name in names} == {name: report.metrics[name] for name in names}


def bytes_of(state: MetricState) -> int:
    """Bytes that every store of samples in a state keeps."""
    found = 0
    for value in vars(state).values():
        for each in (
            value if isinstance(value, tuple | list) else value.values() if isinstance(value, dict) else [value]
        ):
            if isinstance(each, RowStore):
                found += each.num_bytes
            elif isinstance(each, MetricState):
                found += bytes_of(each)
            elif isinstance(each, np.ndarray | Tensor):
                found += each.nbytes
    return found


def drawn(count: int, num_classes: int) -> Iterator[Prediction]:
    rng = torch.Generator().manual_seed(0)
    for rows in torch.arange(count).split(500):
        targets = torch.randint(num_classes, (len(rows),), generator=rng)
        logits = torch.randn(len(rows), num_classes, generator=rng)
        logits[torch.arange(len(rows)), targets] += 2
        yield Prediction(logits.softmax(1), targets, torch.tensor(0.5), rows, logits=logits)


@pytest.mark.parametrize("num_classes", [10, 200])
def test_a_state_keeps_the_bytes_that_the_documentation_states(num_classes: int) -> None:
    """docs/guides/evaluate.md, "Memory": nothing else of a prediction is kept."""
    count, task = 2000, Classification(spec=classes_of(num_classes), loss=CrossEntropy())
    for names, a_sample in (((), 0), (("log_loss", "cohen_kappa"), 64), (RANKING[:1], 64 + 4 * num_classes)):
        state = task.metric_state(names)
        for prediction in drawn(count, num_classes):
            state.update(prediction)
        state.compute()
        assert bytes_of(state) <= count * a_sample + 3 * 8 * num_classes, names
    state = task.report_state()
    for prediction in drawn(count, num_classes):
        state.update(prediction)
    task.report(classes_of(num_classes), state)
    assert bytes_of(state) <= count * (64 + 4 * num_classes) + 3 * 8 * num_classes
    values = ValueSampleState()
    for rows in torch.arange(count).split(100):
        two = torch.zeros(len(rows), 2, dtype=torch.float64)
        values.update(Prediction(two, two, torch.tensor(0.0), rows, {"q0.1": two}))
    assert values.num_bytes == count * (16 * 2 + 8 + 8 * 2)


def peak_of(make: Callable[[], object]) -> int:
    """The most bytes that NumPy and Python had at a time while `make` ran, beyond those that there were before."""
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_report_with_intervals_and_tables_takes_the_memory_that_the_documentation_states(tmp_path: Path) -> None:
    count, num_classes = 60_000, 10
    spec = classes_of(num_classes)
    task = Classification(spec=spec, loss=CrossEntropy())
    state = task.report_state()
    for prediction in drawn(count, num_classes):
        state.update(prediction)
    write_tables(tmp_path, task.report(spec, state, Resampling(2)))  # what is imported and cached once

    def make() -> None:
        write_tables(tmp_path, task.report(spec, state, Resampling(8)))

    assert peak_of(make) <= count * 160 + (16 << 20)


class Intersection(MetricState):
    """Loss and intersection over union of masks (B, H, W); and the loss over how many pixels were seen."""

    def __init__(self) -> None:
        self.loss, self.both, self.either = LossState(), 0, 0
        self.seen: list[tuple[int, float]] = []

    def update(self, prediction: Prediction) -> None:
        assert prediction.targets is not None
        chosen, targets = prediction.outputs > 0.5, prediction.targets > 0
        self.loss.update(prediction)
        self.both += int((chosen & targets).sum())
        self.either += int((chosen | targets).sum())
        self.seen.append((chosen.numel(), float(prediction.loss)))

    def merge(self, other: Self) -> None:
        self.loss.merge(other.loss)
        self.both, self.either, self.seen = self.both + other.both, self.either + other.either, self.seen + other.seen

    def compute(self) -> dict[str, float]:
        return {**self.loss.compute(), "iou": self.both / self.either}


class Segmentation(Task):
    """Binary masks, from outside the package."""

    metrics = {"loss": "min", "iou": "max"}

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        return LossOutput(self.predict(networks, batch).loss)

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        outputs, targets = networks["model"](batch.inputs)[:, 0], as_tensor(batch.targets)
        loss = nn.functional.binary_cross_entropy_with_logits(outputs, targets.float())
        return Prediction(outputs.sigmoid(), targets, loss, batch.indices, weight=targets.numel())

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        return Intersection()

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        found = state.part(Intersection)
        pixels, losses = (np.array(column, dtype=np.float64) for column in zip(*found.seen, strict=True))
        areas = Table(("of", "pixels"), [["both", found.both], ["either", found.either]], "Areas of {split}.", ("of",))
        line = Lines(
            "Loss of the {split} split, batch by batch.", "pixels", "loss", {"loss": (pixels.cumsum(), losses)}
        )
        return Report(
            state.compute(), tables={"areas": areas}, figures={"by_batch": line}, facts={"pixels": pixels.sum()}
        )


def test_a_task_of_masks_has_its_own_metrics_tables_and_figures(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(9, 1, 6, 5, generator=rng)
    targets = (inputs[:, 0] + 0.3 * torch.randn(9, 6, 5, generator=rng) > 0).long()
    parts = [Batch(inputs[rows], targets[rows], rows) for rows in torch.arange(9).split([4, 4, 1])]
    task = Segmentation()
    state = fed(task, task.report_state(), parts)
    chosen, true = inputs[:, 0] > 0, targets > 0
    metrics = state.compute()
    assert metrics["iou"] == pytest.approx(float((chosen & true).sum() / (chosen | true).sum()))
    whole = nn.functional.binary_cross_entropy_with_logits(inputs[:, 0], targets.float())
    assert metrics["loss"] == pytest.approx(float(whole), rel=1e-6)  # a mean over pixels
    spec = DataSpec(ImageSpec(1, 6, 5), MaskSpec(("object",), 6, 5))
    report = task.report(spec, state)
    write_tables(tmp_path, report)
    split = Split.in_memory(inputs, targets[:, 0, 0], torch.arange(9))
    unit = Affine(torch.tensor(1.0), torch.tensor(0.0))
    data = DataBundle(spec, dict.fromkeys(("train", "val", "test"), split), unit, "", {})
    assert write_figures(tmp_path, "test", data, report) == {}
    assert {path.name for path in tmp_path.iterdir()} == {"areas.csv", "by_batch.png"}
    assert (tmp_path / "areas.csv").read_text().splitlines()[0] == "of,pixels"
    facts = report_facts(report, "test", Resampling(0))
    assert facts["pixels"] == targets.numel()
    assert facts["tables"] == {"areas": {"caption": "Areas of test.", "labels": ["of"]}}
    assert facts["figures"] == {"by_batch": "Loss of the test split, batch by batch."}
    columns = task.prediction_columns(spec, task.predict({"model": nn.Identity()}, parts[0])).columns
    assert len(columns) == 30 and len(columns["o0"]) == 4


class Tokens(Task):
    """A loss that is a mean over tokens of sequences of any length, and no targets of samples."""

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        return LossOutput(self.predict(networks, batch).loss)

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        outputs, known = networks["model"](batch.inputs), ~as_tensor(batch.inputs).isnan()
        return Prediction(outputs, None, outputs[known].square().mean(), batch.indices, weight=known.sum())


def token_batches() -> list[Batch]:
    long, short = torch.arange(10.0).reshape(2, 5), torch.tensor([[7.0, float("nan")], [1.0, 2.0], [3.0, float("nan")]])
    return [Batch(long, long, torch.arange(2)), Batch(short, short, torch.arange(2, 5))]


def test_a_mean_over_tokens_is_that_over_all_tokens() -> None:
    task, parts = Tokens(), token_batches()
    tokens = torch.cat([values[~values.isnan()] for values in (as_tensor(part.inputs) for part in parts)])
    metrics = evaluate(task, nn.ModuleDict({"model": nn.Identity()}), parts, FP32, seed=0).metrics
    assert metrics == {"loss": pytest.approx(float(tokens.square().mean()))}  # by samples it would be another


def test_a_task_that_has_only_a_loss_has_a_report() -> None:
    task, parts = Tokens(), token_batches()
    assert task.metrics == {"loss": "min"}
    state = fed(task, task.report_state(), parts)
    assert isinstance(state, LossState)
    spec = DataSpec(TableSpec(5), ValueSpec(("y",), (0.0,), (1.0,)))
    report = task.report(spec, state, Resampling(100))
    assert report.metrics == state.compute()
    assert (report.tables, report.figures, report.intervals) == ({}, {}, {})
    assert report_facts(report, "test", Resampling(100))["tables"] == {}


def test_a_metric_that_needs_targets_says_so() -> None:
    without = Prediction(torch.zeros(2, 3), None, torch.tensor(0.0), torch.arange(2))
    for state in (Classification(spec=classes_of(3), loss=CrossEntropy()).report_state(), ValueSampleState()):
        with pytest.raises(ValueError, match="targets"):
            state.update(without)


def test_states_of_other_outputs_are_not_merged() -> None:
    targets, numbers = torch.tensor([0, 1]), torch.eye(2)
    first, second = (ClassSampleState(2, is_probabilistic=True, keeps_outputs=True) for _ in range(2))
    first.update(Prediction(numbers, targets, torch.tensor(0.0), torch.arange(2), logits=numbers))
    second.update(Prediction(numbers, targets, torch.tensor(0.0), torch.arange(2)))
    with pytest.raises(ValueError, match="must all be logits, got probabilities"):
        first.merge(second)


def test_a_report_refuses_the_state_of_another_task() -> None:
    task = Classification(spec=classes_of(2), loss=CrossEntropy())
    with pytest.raises(TypeError, match="report_state"):
        task.report(classes_of(2), LossState())
