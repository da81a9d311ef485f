"""What becomes of a loss or a gradient that is not finite: under each policy, and across a stop or a kill."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_toys import BATCH, BATCHES, CLASSES, SAMPLES, AskedStop, Run, differences, rules, state_of
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.engine.recovery import Failure, NonFiniteEvent, NonfinitePolicy, Recovery, RecoveryHooks
from dlexp.engine.snapshot import NoSnapshot, Snapshot, StepSnapshot
from dlexp.engine.state import TrainState
from dlexp.engine.step import train_step
from dlexp.errors import Diverged, Interrupted, OutOfMemory
from dlexp.losses.classification import CrossEntropy
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import order, set_global_state
from dlexp.tasks.base import Phase
from dlexp.tasks.classification import Classification
from dlexp.types import Batch, LossOutput, as_tensor


class Sick(Classification):
    """Fails wherever all of some samples come in one batch; `how` says what then happens."""

    def __init__(self, rows: set[int], how: str = "loss") -> None:
        super().__init__(spec=CLASSES, loss=CrossEntropy())
        self.rows, self.how = rows, how

    def loss(self, phase: str, networks: Mapping[str, nn.Module], batch: Batch) -> LossOutput:
        is_sick = self.rows <= set(batch.indices.tolist())
        if is_sick and self.how == "input":  # reaches the running statistics of the normalization
            batch = replace(batch, inputs=as_tensor(batch.inputs) * math.nan)
        found = super().loss(phase, networks, batch)
        if not is_sick or self.how == "input":
            return found
        if self.how == "loss":
            return LossOutput(found.value * math.inf)
        if self.how == "gradient":
            weight = next(networks["model"].parameters())
            return LossOutput(found.value + (weight - weight.detach()).abs().sqrt().sum())  # 0, of infinite slope
        raise {"memory": MemoryError, "bug": ValueError}[self.how]("as told")


def sick_run(folder: Path, action: str, rows: set[int], **settings: Any) -> Run:
    """A run of `Sick`; its list `said` is what was told of counts."""
    how, limit = settings.pop("how", "loss"), settings.pop("limit", 5)
    run = Run(folder, task=Sick(rows, how), **settings)
    said: list[NonFiniteEvent] = []
    run.hooks = RecoveryHooks(
        NonfinitePolicy(action, limit), on_event=said.append, on_failure=settings.get("on_failure")
    )
    run.said = said
    return run


def row_at(epoch: int, batch: int, attempt: int = 0) -> int:
    """A sample of that batch, both from 0, of the runs with seed 3."""
    return int(order(SAMPLES, 3, epoch, attempt)[batch * BATCH])


PAIR = {int(row) for row in order(SAMPLES, 3, 1)[2 * BATCH : 2 * BATCH + 2]}  # together in epoch 2, batch 3


def test_the_pair_meets_once_in_the_order_as_it_is_and_not_in_the_second_attempt() -> None:
    def meetings(epoch: int, attempt: int) -> list[int]:
        batches = order(SAMPLES, 3, epoch, attempt).split(BATCH)
        return [number for number, rows in enumerate(batches) if set(rows.tolist()) >= PAIR]

    assert [meetings(epoch, 0) for epoch in range(3)] == [[], [2], []]
    assert meetings(1, 1) == []


def test_each_attempt_at_an_epoch_has_its_own_order() -> None:
    orders = [order(SAMPLES, 3, 1, attempt) for attempt in range(4)]
    assert torch.equal(orders[0], order(SAMPLES, 3, 1))
    assert len({tuple(one.tolist()) for one in orders}) == 4
    assert all(torch.equal(one.sort().values, torch.arange(SAMPLES)) for one in orders)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("how", ["loss", "gradient", "input"])
def test_skip_leaves_out_one_update_and_nothing_of_it_stays(
    tmp_path: Path, how: str, clip: float | None, at_once: bool
) -> None:
    run = sick_run(tmp_path, "skip", {row_at(0, 4)}, how=how, epochs=1, clip_norm=clip, check_every_step=at_once)
    states: dict[int, Any] = {}

    def keep(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord):
            states[record.batch] = {k: v.clone() for k, v in run.networks.state_dict().items()}
            states[record.batch]["taken"] = record.samples

    run.observers.append(keep)
    run.fit()
    assert differences(states[5], states[4]) == []  # weights, running statistics and samples counted
    assert differences(states[6], states[5])
    assert (run.state.nonfinite.skipped, run.state.nonfinite.in_a_row) == (1, 0)
    assert run.state.step == BATCHES
    assert run.rows[0]["train/loss"] < 10
    assert [event.is_rolled_back for event in run.said] == ([False] if at_once else [True, False])
    assert "batch 5" in run.said[-1].message
    assert "update skipped (1 in a row of at most 5)" in run.said[-1].message


def test_skips_in_a_row_have_a_limit_and_those_apart_have_none(tmp_path: Path) -> None:
    apart = sick_run(tmp_path / "apart", "skip", {row_at(0, 1)}, epochs=3, limit=1)
    apart.fit()
    assert apart.state.nonfinite.skipped == 3
    always = sick_run(tmp_path / "always", "skip", set(), epochs=3, limit=3)
    with pytest.raises(Diverged, match=r"batch 4 .*3 updates in a row were skipped before it"):
        always.fit()
    assert not (tmp_path / "always" / "last.pt").exists()


def test_an_epoch_without_a_single_update_ends_the_run(tmp_path: Path) -> None:
    run = sick_run(tmp_path, "skip", set(), epochs=1, limit=100)
    with pytest.raises(Diverged, match="every update of epoch 1 was skipped"):
        run.fit()


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("scheduler", ["cosine", "onecycle", "warmup", "plateau"])
def test_a_rollback_is_the_epoch_as_if_it_had_begun_in_the_other_order(
    tmp_path: Path, scheduler: str, at_once: bool
) -> None:
    run = sick_run(tmp_path / "sick", "rollback", PAIR, scheduler=scheduler, check_every_step=at_once)
    run.fit()
    other = Run(tmp_path / "well", scheduler=scheduler)
    other.observers.append(lambda r: _attempt(other, r))
    other.fit()
    assert (run.state.nonfinite.rollbacks, run.state.nonfinite.attempt) == (1, 0)
    assert run.rows == other.rows
    saved, expected = (read_checkpoint(tmp_path / name / "last.pt") for name in ("sick", "well"))
    assert expected["nonfinite"].pop("rollbacks") == 0
    assert saved["nonfinite"].pop("rollbacks") == 1
    assert differences(saved, expected) == []
    assert (run.said[-1].is_rolled_back, run.said[-1].epoch, run.said[-1].step) == (True, 1, BATCHES)
    assert "epoch 2, batch 3" in run.said[-1].message


def _attempt(run: Run, record: StepRecord | EpochRecord) -> None:
    if isinstance(record, EpochRecord) and record.epoch == 1:
        run.state.nonfinite.attempt = 1


def test_a_rollback_in_the_first_epoch_goes_back_to_the_beginning(tmp_path: Path) -> None:
    pair = {int(row) for row in order(SAMPLES, 3, 0)[5 * BATCH : 5 * BATCH + 2]}
    run = sick_run(tmp_path, "rollback", pair, scheduler="cosine", epochs=1)
    run.fit()
    assert run.state.nonfinite.rollbacks >= 1
    assert [row["epoch"] for row in run.rows] == [1]


def test_rollbacks_of_one_epoch_have_a_limit(tmp_path: Path) -> None:
    run = sick_run(tmp_path, "rollback", {-1}, limit=2)
    run.observers.append(lambda record: _sicken_after_an_epoch(run, record, row_at(1, 3)))
    with pytest.raises(Diverged, match=r"epoch 2, .*rolled back 2 times"):
        run.fit()
    assert run.state.nonfinite.rollbacks == 2
    last = read_checkpoint(tmp_path / "last.pt")
    assert last["position"] == {"epoch": 1, "batch": 0, "step": BATCHES}


def _sicken_after_an_epoch(run: Run, record: StepRecord | EpochRecord, row: int) -> None:
    if isinstance(record, EpochRecord):
        assert isinstance(run.task, Sick)
        run.task.rows = {row}


@pytest.mark.parametrize("at", range(1, 3 * BATCHES, 2))
@pytest.mark.parametrize("action", ["skip", "rollback"])
def test_a_stop_anywhere_changes_no_bit_of_what_the_policy_does(tmp_path: Path, action: str, at: int) -> None:
    whole = sick_run(tmp_path / "whole", action, PAIR, scheduler="cosine")
    whole.fit()
    seen = 0

    def ask(record: StepRecord | EpochRecord) -> None:
        nonlocal seen
        seen += isinstance(record, StepRecord)
        if seen == at:
            stop.ask()

    stop, first = AskedStop(), sick_run(tmp_path / "cut", action, PAIR, scheduler="cosine")
    first.observers.append(ask)
    with pytest.raises(Interrupted):
        first.fit(stop)
    second = sick_run(tmp_path / "cut", action, PAIR, scheduler="cosine")
    second.fit()
    for name in ("last.pt", "best.pt"):
        one, other = (read_checkpoint(tmp_path / folder / name) for folder in ("cut", "whole"))
        assert differences(one, other) == []
    assert first.rows + second.rows == whole.rows


def test_a_rollback_without_the_start_of_its_epoch_says_so(tmp_path: Path) -> None:
    stop, first = AskedStop(), sick_run(tmp_path, "stop", PAIR)
    first.observers.append(lambda record: stop.ask() if first.state.step == BATCHES + 1 else None)
    with pytest.raises(Interrupted):
        first.fit(stop)
    with pytest.raises(Diverged, match="the start of this epoch was not kept"):
        sick_run(tmp_path, "rollback", PAIR).fit()


@pytest.mark.parametrize("action", ["skip", "rollback"])
def test_running_statistics_that_are_not_finite_are_never_saved(tmp_path: Path, action: str) -> None:
    run = sick_run(tmp_path, action, {-1}, epochs=1)

    def poison(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord) and record.batch == BATCHES:
            run.networks.state_dict()["model.1.running_mean"][0] = math.inf

    run.observers.append(poison)
    with pytest.raises(Diverged, match="a weight is not finite"):
        run.fit()
    assert not (tmp_path / "last.pt").exists()
    assert not (tmp_path / "best.pt").exists()


def test_what_is_infinite_from_the_beginning_is_meant_to_be(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=1)
    run.networks["model"].register_buffer("mask", torch.tensor([0.0, -math.inf]))
    assert run.fit() == "1 epoch done"


def told_by(run: Run) -> list[Failure]:
    failures: list[Failure] = []

    def keep(failure: Failure) -> str:
        failures.append(failure)
        return "kept"

    run.hooks = replace(run.hooks, on_failure=keep)
    return failures


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("how", ["loss", "gradient", "input"])
def test_a_stop_hands_over_the_step_with_the_state_before_it(tmp_path: Path, how: str, at_once: bool) -> None:
    run = sick_run(tmp_path, "stop", {-1}, how=how, check_every_step=at_once)
    run.observers.append(lambda record: _sicken_after_an_epoch(run, record, row_at(1, 2)))
    before: list[dict[str, Tensor]] = []
    run.observers.append(lambda r: before.append({k: v.clone() for k, v in run.networks.state_dict().items()}))
    failures = told_by(run)
    with pytest.raises(Diverged) as caught:
        run.fit()
    (failure,) = failures
    assert (failure.epoch, failure.batch, failure.step) == (1, 2, BATCHES + 2)
    assert (failure.phase, failure.stage) == ("train", "gradient" if how == "gradient" else "loss")
    assert failure.micro_batches[0].indices.tolist() == order(SAMPLES, 3, 1)[2 * BATCH : 3 * BATCH].tolist()
    assert differences(dict(failure.state["networks"]), before[-1]) == []
    assert [math.isfinite(loss) for loss in failure.losses] == [how == "gradient"]
    assert caught.value.__notes__ == ["kept"]


def test_an_exception_in_a_step_is_handed_over_and_stays_what_it_was(tmp_path: Path) -> None:
    run = sick_run(tmp_path, "skip", {row_at(0, 1)}, how="bug")
    failures = told_by(run)
    with pytest.raises(ValueError, match="as told") as caught:
        run.fit()
    assert failures[0].error is caught.value
    assert caught.value.__notes__ == ["kept"]


def test_a_capsule_that_cannot_be_written_never_hides_the_error(tmp_path: Path) -> None:
    run = sick_run(tmp_path, "stop", {row_at(0, 1)}, how="bug")

    def fail(failure: Failure) -> str:
        raise OSError(28, "No space left on device")

    run.hooks = replace(run.hooks, on_failure=fail)
    with pytest.raises(ValueError, match="as told") as caught:
        run.fit()
    assert "could not be written: [Errno 28] No space left" in caught.value.__notes__[0]


def test_memory_that_runs_out_is_told_with_the_size_and_the_remedy(tmp_path: Path) -> None:
    run = sick_run(tmp_path, "stop", {row_at(0, 1)}, how="memory")
    told_by(run)
    with pytest.raises(OutOfMemory, match=r"a batch of 4 samples on cpu \(peak .* GiB\).*data.batch_size=2") as caught:
        run.fit()
    assert caught.value.exit_code == 6
    assert "trainer.accumulate=2" in str(caught.value)
    assert caught.value.__notes__ == ["kept"]


def test_in_fp16_an_overflow_is_the_scalers_business() -> None:
    precision = Precision("fp16", "cpu", "")
    model = nn.Linear(3, 3)
    state = state_of(model, torch.optim.SGD(model.parameters(), lr=0.1), precision)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    guard = Recovery(Sick({-1}), rules(precision=precision), state, RecoveryHooks(NonfinitePolicy("stop")))
    batch = Batch(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    guard.update([batch])
    assert state.scaler.get_scale() == 2.0**59
    assert (state.step, state.nonfinite.skipped) == (1, 0)


def test_an_fp16_run_whose_every_gradient_overflows_ends() -> None:
    precision = Precision("fp16", "cpu", "")
    model = nn.Linear(3, 3)
    state = state_of(model, torch.optim.SGD(model.parameters(), lr=0.1), precision)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**-50)
    state.scaler.scale(torch.ones(()))
    with pytest.raises(Diverged, match="overflows fp16 at every scale"):
        Recovery(Sick({-1}), rules(), state, RecoveryHooks()).check({"loss": 1.0})


def test_generators_are_as_they_were_when_the_phase_began() -> None:
    model = nn.Linear(3, 3)
    taken = StepSnapshot(nn.ModuleDict({"model": model}), keeps_generators=True)
    random.seed(5)
    np.random.seed(6)
    taken.begin_phase("train")
    first = (random.random(), float(np.random.rand()))
    set_global_state(taken.generators())
    assert (random.random(), float(np.random.rand())) == first


def test_a_failed_update_of_two_phases_keeps_the_first_and_undoes_the_second() -> None:
    class Two(Sick):
        phases = {"one": Phase(("a",)), "two": Phase(("b",))}

        def loss(self, phase: str, networks: Mapping[str, nn.Module], batch: Batch) -> LossOutput:
            found = super().loss(phase, {"model": networks["a" if phase == "one" else "b"]}, batch)
            return LossOutput(found.value * (math.nan if phase == "two" else 1.0))

    networks = nn.ModuleDict({name: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)) for name in "ab"})
    alone = state_of(networks["a"], torch.optim.SGD(networks["a"].parameters(), lr=0.1))
    schedule = alone.schedules["train"]
    optimizers: dict[str, torch.optim.Optimizer] = {
        phase: torch.optim.SGD(networks[name].parameters(), lr=0.1) for phase, name in (("one", "a"), ("two", "b"))
    }
    state = TrainState(networks, optimizers, {"one": schedule, "two": schedule}, alone.scaler, alone.best)
    start = {k: v.clone() for k, v in networks.state_dict().items()}
    batch = Batch(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), torch.arange(4))
    guard = Recovery(Two({-1}), rules(), state, RecoveryHooks(NonfinitePolicy("skip")))
    guard.update([batch])
    changed = {path.split(".")[0] for path in differences(dict(networks.state_dict()), start)}
    assert changed == {"/a"}
    assert (state.batch, state.step, state.sums.count, state.sums.sums) == (1, 1, 0, {})


def test_the_checks_change_no_bit_of_a_healthy_update() -> None:
    ends = []
    for at_once in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        state = state_of(model, torch.optim.SGD(model.parameters(), lr=0.1))
        batch = Batch(torch.arange(20.0).reshape(4, 5), torch.tensor([0, 1, 2, 0]), torch.arange(4))
        taken: Snapshot = StepSnapshot(state.networks) if at_once else NoSnapshot()
        train_step(Sick({-1}), state, [batch], replace(rules(), check_every_step=at_once), taken)
        ends.append({k: v.clone() for k, v in model.state_dict().items()})
    assert differences(ends[0], ends[1]) == []
