"""Averages of weights in a run: who is judged, what is trained, and what a stop or a failure leaves of them."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from engine_toys import (
    BATCH,
    CPU,
    FP32,
    AskedStop,
    Run,
    bundle,
    differences,
    rules,
    state_of,
    values_batch,
    values_task,
)
from test_engine_nonfinite import sick_run
from torch import nn

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.engine.evaluate import StoppedInEvaluation, evaluate
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.engine.norm_statistics import measure_statistics
from dlexp.engine.step import train_step
from dlexp.errors import Interrupted
from dlexp.optim.schedules.base import WarmupSchedule
from dlexp.regularization.weight_averaging import Ema, Swa
from dlexp.types import Batch, as_tensor


def averaged(run: Run, kind: str) -> Run:
    run.state.average = Ema(run.networks, 0.95) if kind == "ema" else Swa(run.networks, 2)
    return run


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_an_average_changes_nothing_of_what_is_trained(tmp_path: Path, kind: str) -> None:
    plain, other = Run(tmp_path / "plain"), averaged(Run(tmp_path / kind), kind)
    plain.fit()
    other.fit()
    one, two = (read_checkpoint(tmp_path / name / "last.pt") for name in ("plain", kind))
    for part in ("networks", "optimizers", "schedules", "position", "sums", "random"):
        assert differences(one[part], two[part]) == []
    assert [row["val/loss"] for row in plain.rows][1:] != [row["val/loss"] for row in other.rows][1:]
    assert [row["train/loss"] for row in plain.rows] == [row["train/loss"] for row in other.rows]


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_average_is_what_is_judged_and_saved(tmp_path: Path, kind: str) -> None:
    run = averaged(Run(tmp_path), kind)
    run.fit()
    best, last = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "last.pt")
    assert differences(last["eval_weights"], last["networks"]) != []
    position = int(best["position"]["epoch"])
    run.networks.load_state_dict(best["networks"])
    again = evaluate(run.task, run.networks, run_val(run), FP32, seed=0)
    assert again.metrics["loss"] == run.rows[position - 1]["val/loss"]
    if position == 3:
        judged = {**last["eval_weights"]}
        assert differences({k: v for k, v in judged.items() if "num_batches" not in k},
                           {k: v for k, v in best["networks"].items() if "num_batches" not in k}) == []  # fmt: skip


def run_val(run: Run) -> list[Batch]:
    return list(EvalBatches(run.bundle, "val", 4, CPU))


def test_the_weights_that_are_trained_come_back_to_the_bit() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    state = state_of(model, torch.optim.SGD(model.parameters(), lr=0.1))
    state.average = Ema(state.networks, 0.9)
    for number in range(3):
        train_step(values_task(), state, [values_batch(8, torch.float32, number)], rules())
    before = copy.deepcopy(state.networks.state_dict())
    with pytest.raises(KeyError), state.eval_weights():
        for name, mean in state.average.weights().items():
            assert torch.equal(state.networks.state_dict()[name], mean)
        assert not torch.equal(state.networks.state_dict()["model.0.weight"], before["model.0.weight"])
        raise KeyError
    assert differences(before, state.networks.state_dict()) == []


def test_an_update_that_is_skipped_does_not_move_the_average(tmp_path: Path) -> None:
    run = averaged(sick_run(tmp_path, "skip", {3}, epochs=1), "ema")
    counts = []
    run.observers.append(lambda record: counts.append(run.state.average.state_dict()["updates"]))
    run.fit()
    assert run.state.nonfinite.skipped == 1
    assert counts[-1] == run.state.step - 1


def test_a_rollback_takes_the_average_back(tmp_path: Path) -> None:
    run = averaged(sick_run(tmp_path, "rollback", {3, 4, 5}, epochs=3, how="input"), "ema")
    run.fit()
    assert run.state.average.state_dict() == {"updates": run.state.step}
    assert all(math.isfinite(float(mean.sum())) for mean in run.state.average.weights().values())


class ToldOnce(AskedStop):
    """Stops when an evaluation reads its second batch in epoch 2."""

    def read(self, evaluation: int, batch: int) -> None:
        if (evaluation, batch) == (2, 2):
            self.ask()


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_a_stop_in_the_evaluation_takes_the_epoch_in_once(tmp_path: Path, kind: str) -> None:
    averaged(whole := Run(tmp_path / "whole"), kind).fit()
    stop = ToldOnce()
    first = averaged(Run(tmp_path / "parted", on_read=stop.read), kind)
    with pytest.raises(Interrupted):
        first.fit(stop)
    second = averaged(Run(tmp_path / "parted"), kind)
    second.fit()
    for name in ("last.pt", "best.pt"):
        one, two = (read_checkpoint(tmp_path / folder / name) for folder in ("whole", "parted"))
        assert differences(one, two) == []
    assert whole.rows == first.rows + second.rows


def test_measured_statistics_are_those_of_the_batches() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3), nn.Linear(3, 1)).double()
    networks = nn.ModuleDict({"model": model})
    networks.train()
    batches = [values_batch(6, first_row=number) for number in range(4)]
    measure_statistics(values_task(), networks, batches, FP32)
    means = torch.stack([as_tensor(batch.inputs).mean(0) for batch in batches]).mean(0)
    variances = torch.stack([as_tensor(batch.inputs).var(0) for batch in batches]).mean(0)
    norm = model[1]
    torch.testing.assert_close(norm.running_mean, means)
    torch.testing.assert_close(norm.running_var, variances)
    assert norm.momentum == 0.1
    assert all(module.training for module in networks.modules())


def test_norms_that_are_frozen_or_not_reached_keep_their_statistics() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.frozen, self.unused = nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.BatchNorm1d(3)
            self.last = nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.frozen(self.used(x)))  # type: ignore[no-any-return]

    model = Two().double()
    for norm in (model.used, model.frozen, model.unused):
        nn.init.constant_(norm.running_mean, 5.0)  # type: ignore[arg-type]
    networks = nn.ModuleDict({"model": model})
    networks.train()
    model.frozen.eval()
    measure_statistics(values_task(), networks, [values_batch(6)], FP32)
    assert [float(n.running_mean[0]) == 5 for n in (model.used, model.frozen, model.unused)] == [False, True, True]  # type: ignore[index]
    assert not model.frozen.training
    with pytest.raises(StoppedInEvaluation):
        measure_statistics(values_task(), networks, [values_batch(6)], FP32, lambda: True)
    assert (model.used.momentum, model.used.training) == (0.1, True)


def test_swa_on_weights_that_stand_still_is_those_weights(tmp_path: Path) -> None:
    run = averaged(Run(tmp_path, epochs=3), "swa")
    for group in run.optimizer.param_groups:
        group["lr"] = 0.0
    schedule = run.state.schedules["train"]
    assert isinstance(schedule, WarmupSchedule)
    schedule._full = [0.0] * len(run.optimizer.param_groups)
    before = copy.deepcopy(run.networks.state_dict())
    run.fit()
    found = run.state.average.weights()
    assert torch.equal(found["model.0.weight"], before["model.0.weight"])
    model = run.networks["model"]
    assert isinstance(model, nn.Sequential)
    layer = model[0]
    outputs = [layer(batch.inputs).detach() for batch in TrainBatches(bundle(), BATCH, run.seed, CPU).epoch(2)]
    wanted = torch.stack([one.mean(0) for one in outputs]).mean(0)
    torch.testing.assert_close(found["model.1.running_mean"], wanted)


def test_a_short_run_does_not_suffer_from_a_long_memory(tmp_path: Path) -> None:
    plain, ema = Run(tmp_path / "plain", epochs=4), Run(tmp_path / "ema", epochs=4)
    ema.state.average = Ema(ema.networks, 0.9999)
    plain.fit()
    ema.fit()
    first, last = plain.rows[0]["val/loss"], plain.rows[-1]["val/loss"]
    assert ema.rows[-1]["val/loss"] < last + 0.25 * abs(first - last)


def test_nobody_else_is_asked_twice(tmp_path: Path) -> None:
    """Records of steps and epochs come as they did: an average adds no evaluation."""
    run, kinds = averaged(Run(tmp_path, epochs=2), "swa"), []
    run.on_read = lambda evaluation, batch: kinds.append(evaluation)
    records: list[object] = []
    run.observers.append(records.append)
    run.fit()
    assert max(kinds) == 2
    assert sum(isinstance(one, EpochRecord) for one in records) == 2
    assert sum(isinstance(one, StepRecord) for one in records) == 14
