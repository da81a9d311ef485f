from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from engine_toys import BATCH, BATCHES, CLASSES, CPU, FP32, SAMPLES, AskedStop, Run
from torch import nn

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import evaluate
from dlexp.engine.loop import EpochRecord, StepRecord, group_batches
from dlexp.engine.state import load_weights
from dlexp.errors import Diverged, Interrupted
from dlexp.losses.classification import CrossEntropy
from dlexp.metrics.states import ClassificationState
from dlexp.runtime.seed import order
from dlexp.tasks.classification import Classification
from dlexp.types import Batch, LossOutput


class ScriptedState(ClassificationState):
    """Says what it is told to."""

    def __init__(self, value: float) -> None:
        super().__init__(CLASSES.num_outputs)
        self._scripted = value

    def compute(self) -> dict[str, float]:
        return {"loss": self._scripted}


class Scripted(Classification):
    """A task whose validation loss is a list of numbers."""

    def __init__(self, *values: float) -> None:
        super().__init__(spec=CLASSES, loss=CrossEntropy())
        self._values = iter(values)

    def metric_state(self, names: Sequence[str] = ()) -> ScriptedState:
        return ScriptedState(next(self._values))


def test_windows_are_of_one_size_and_the_last_may_be_shorter() -> None:
    assert list(group_batches(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(group_batches(iter(range(4)), 2)) == [[0, 1], [2, 3]]
    assert list(group_batches(iter([]), 2)) == []


def test_an_epoch_is_its_steps_then_validation_then_its_record_then_its_checkpoint(tmp_path: Path) -> None:
    events: list[str] = []
    run = Run(tmp_path / "run", epochs=2, accumulate=3)
    run.on_read = lambda evaluation, batch: events.append("validate") if batch == 1 else None

    def watch(record: StepRecord | EpochRecord) -> None:
        events.append("step" if isinstance(record, StepRecord) else "epoch")
        if isinstance(record, EpochRecord):
            saved = run.store.load_last()
            assert (saved is None) == (record.epoch == 1)
            assert saved is None or saved["position"]["epoch"] == record.epoch - 1

    run.observers.append(watch)
    assert run.fit() == "all 2 epochs done"
    assert events == ["step", "step", "step", "validate", "epoch"] * 2
    last = run.store.load_last()
    assert last is not None
    assert last["position"] == {"epoch": 2, "batch": 0, "step": 6}


def test_step_records_tell_the_place_and_the_running_means(tmp_path: Path) -> None:
    run, records, means = Run(tmp_path, epochs=2, accumulate=3), list[StepRecord](), []

    def watch(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord):
            records.append(record)
            means.append(record.means())

    run.observers.append(watch)
    run.fit()
    places = [(r.epoch, r.batch, r.num_batches, r.step, r.samples) for r in records]
    assert places[:3] == [(1, 3, BATCHES, 1, 12), (1, 6, BATCHES, 2, 24), (1, 7, BATCHES, 3, SAMPLES)]
    assert places[3:] == [(2, 3, BATCHES, 4, 12), (2, 6, BATCHES, 5, 24), (2, 7, BATCHES, 6, SAMPLES)]
    assert means[2]["loss"] == run.rows[0]["train/loss"]
    assert means[5]["accuracy"] == run.rows[1]["train/accuracy"]


def test_a_row_holds_position_rate_means_metrics_and_pace(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=1)
    run.fit()
    values = run.records[0].values
    metrics = ["val/loss", "val/accuracy", "val/balanced_accuracy", "val/f1_macro"]
    front = ["epoch", "step", "lr", "train/loss", "train/accuracy"]
    assert list(values) == [*front, *metrics, "seconds", "samples_per_s"]
    assert (values["epoch"], values["step"]) == (1, BATCHES)
    assert values["lr"] == pytest.approx(0.1)
    assert values["seconds"] * values["samples_per_s"] == pytest.approx(SAMPLES)


def test_training_learns(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=12)
    run.fit()
    assert run.rows[-1]["train/loss"] < 0.9 * run.rows[0]["train/loss"]


@pytest.mark.parametrize(
    ("losses", "epochs"),
    [([1.0, 1.0, 1.0, 1.0, 1.0], 3), ([3.0, 2.0, 2.5, 1.0, 1.0, 2.0, 0.5], 6), ([1.0, math.nan, math.nan, 0.5], 3)],
)
def test_early_stopping_ends_at_the_epoch_in_which_patience_runs_out(
    tmp_path: Path, losses: list[float], epochs: int
) -> None:
    run = Run(tmp_path, epochs=20, patience=2, task=Scripted(*losses))
    reason = run.fit()
    assert len(run.rows) == epochs
    assert reason.startswith(f"stopped early after epoch {epochs}: no improvement for 2 epochs")


def test_early_stopping_never_ends_a_run_that_improves(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=8, patience=1, task=Scripted(*[1.0 / n for n in range(1, 9)]))
    assert run.fit() == "all 8 epochs done"
    assert all(record.is_best for record in run.records)


def test_a_run_that_was_stopped_early_stays_stopped_when_continued(tmp_path: Path) -> None:
    first = Run(tmp_path, epochs=9, patience=1, task=Scripted(1.0, 2.0))
    reason = first.fit()
    again = Run(tmp_path, epochs=9, patience=1, task=Scripted())
    assert again.fit() == reason
    assert again.rows == []


def test_best_pt_holds_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=6)
    weights: dict[int, dict[str, torch.Tensor]] = {}

    def keep(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            weights[record.epoch] = {k: v.clone() for k, v in run.networks.state_dict().items()}

    run.observers.append(keep)
    run.task = Scripted(5.0, 3.0, 1.0, 4.0, 1.0, 2.0)
    run.fit()
    best = run.store.load_best()
    assert best is not None
    assert best["position"]["epoch"] == 3
    assert best["metrics"] == {"loss": 1.0}
    assert all(torch.equal(best["networks"][name], value) for name, value in weights[3].items())
    assert not all(torch.equal(best["networks"][name], value) for name, value in weights[6].items())


def test_best_pt_gives_the_validation_metrics_that_were_logged(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=4)
    run.fit()
    best = run.store.load_best()
    assert best is not None
    other = Run(tmp_path / "other")
    load_weights(other.networks, best["networks"])
    batches = EvalBatches(other.bundle, "val", 4, CPU)
    found = evaluate(other.task, other.networks, batches, FP32, seed=0).metrics
    row = run.rows[best["position"]["epoch"] - 1]
    assert found == {name: row[f"val/{name}"] for name in found}


def test_a_monitored_nan_never_becomes_best(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=3, task=Scripted(math.nan, 2.0, math.nan))
    run.fit()
    assert [record.is_best for record in run.records] == [False, True, False]
    best = run.store.load_best()
    assert best is not None
    assert best["position"]["epoch"] == 2


def test_without_any_finite_metric_there_is_no_best(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=5, patience=2, task=Scripted(math.nan, math.inf))
    assert "best none" in run.fit()
    assert run.store.load_best() is None


class Exploding(Classification):
    """Its loss is finite and its gradient is not, wherever a certain sample is in the batch."""

    def __init__(self, row: int) -> None:
        super().__init__(spec=CLASSES, loss=CrossEntropy())
        self.row = row

    def loss(self, phase: str, networks: Mapping[str, nn.Module], batch: Batch) -> LossOutput:
        found = super().loss(phase, networks, batch)
        if self.row not in batch.indices:
            return found
        weight = next(networks["model"].parameters())
        return LossOutput(found.value + (weight - weight.detach()).abs().sqrt().sum())  # 0, of infinite slope


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("how", ["save_every_steps", "signal", "epoch"])
def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, how: str, at_once: bool) -> None:
    row = int(order(SAMPLES, 3, 0)[-1 if how == "epoch" else 4 * BATCH])  # in the last batch, or in the fifth
    run = Run(tmp_path, epochs=1, save_every_steps=5 if how == "save_every_steps" else None, task=Exploding(row))
    run.check_every_step = at_once
    stop = AskedStop()
    if how == "signal":
        run.observers.append(lambda record: stop.ask() if run.state.step == 5 else None)
        if not at_once:  # the epoch is begun again, and the stop that was asked for comes first
            with pytest.raises(Interrupted, match="saved at epoch 1, batch 1"):
                run.fit(stop)
            return
    with pytest.raises(Diverged, match=f"the gradient is not finite .* batch {BATCHES if how == 'epoch' else 5} "):
        run.fit(stop)
    assert not (tmp_path / "last.pt").exists()


def test_a_loss_that_diverges_leaves_the_checkpoint_of_the_epoch_before(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=5)

    def poison(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord) and record.epoch == 2:
            tensor_of(run.bundle.splits["train"].inputs)[7] = math.nan

    run.observers.append(poison)
    with pytest.raises(Diverged, match="epoch 3"):
        run.fit()
    last = read_checkpoint(tmp_path / "last.pt")
    assert last["position"] == {"epoch": 2, "batch": 0, "step": 2 * BATCHES}
    assert all(torch.isfinite(value).all() for value in last["networks"].values())


def test_a_stop_during_the_last_evaluation_is_still_an_interruption(tmp_path: Path) -> None:
    stop, run = AskedStop(), Run(tmp_path, epochs=1)
    run.on_read = lambda evaluation, batch: stop.ask() if batch == 1 else None
    with pytest.raises(Interrupted) as caught:
        run.fit(stop)
    assert caught.value.exit_code == 75
    assert "SIGTERM" in str(caught.value)
    assert run.rows == []
