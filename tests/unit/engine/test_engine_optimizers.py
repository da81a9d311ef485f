"""Optimizers that need more of the engine than a step: several gradients in an update, other weights to evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_toys import (
    BATCHES,
    AskedStop,
    Run,
    differences,
    rules,
    split_batch,
    state_of,
    values_batch,
    values_task,
)
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.engine.state import TrainState
from dlexp.engine.step import train_step
from dlexp.errors import Diverged, Interrupted
from dlexp.networks.layers import hidden_matrices
from dlexp.optim.optimizers.third_party import lbfgs, muon, schedule_free_adamw
from dlexp.regularization.penalties import Penalty
from dlexp.types import Batch, as_tensor

Place = Callable[[Run, AskedStop], None]


def lbfgs_state(*layers: nn.Module, **settings: Any) -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(*(layers or (nn.Linear(3, 1),))).double()
    return state_of(model, lbfgs(params=[{"params": list(model.parameters())}], **settings))


def weights(state: TrainState) -> Tensor:
    return torch.cat([p.detach().flatten() for p in state.networks.parameters()]).clone()


def test_lbfgs_finds_the_least_squares_solution_with_its_penalty_in_a_few_updates() -> None:
    state, batch, l2 = lbfgs_state(max_iter=10, tolerance_change=1e-15), values_batch(20), 0.3
    for _ in range(6):
        train_step(values_task(), state, [batch], rules(Penalty(0.0, l2)))
    inputs = torch.cat([as_tensor(batch.inputs), torch.ones(20, 1, dtype=torch.float64)], dim=1)
    ridge = torch.diag(torch.tensor([l2, l2, l2, 0.0], dtype=torch.float64))  # the bias is spared
    exact = torch.linalg.solve(inputs.T @ inputs / 20 + ridge, inputs.T @ as_tensor(batch.targets) / 20)
    torch.testing.assert_close(weights(state), exact.flatten(), rtol=1e-6, atol=1e-8)


def test_lbfgs_sees_a_window_as_one_batch() -> None:
    whole = values_batch(12)
    one, several = lbfgs_state(), lbfgs_state()
    train_step(values_task(), one, [whole], rules())
    train_step(values_task(), several, split_batch(whole, 5, 5, 2), rules())
    torch.testing.assert_close(weights(several), weights(one), rtol=1e-9, atol=1e-12)
    assert several.sums.means()["loss"] == pytest.approx(one.sums.means()["loss"], rel=1e-12)
    assert several.sums.count == 12


def test_further_looks_at_a_window_are_not_counted_and_leave_running_statistics_alone() -> None:
    state, batch = lbfgs_state(nn.BatchNorm1d(3), nn.Linear(3, 1), max_iter=5), values_batch(10)
    state.networks.train()
    norm = state.networks["model"].get_submodule("0")
    train_step(values_task(), state, [batch], rules())
    assert int(norm.get_buffer("num_batches_tracked")) == 1
    torch.testing.assert_close(norm.get_buffer("running_mean"), 0.1 * as_tensor(batch.inputs).mean(0))
    assert state.sums.count == 10
    assert next(iter(state.optimizers["train"].state.values()))["func_evals"] > 2


def test_every_look_at_a_window_draws_the_same_dropout() -> None:
    looks: list[Tensor] = []

    class Noted(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            looks.append((inputs == 0).detach())
            return inputs

    state = lbfgs_state(nn.Linear(3, 16), nn.Dropout(0.5), Noted(), nn.Linear(16, 1), max_iter=4)
    state.networks.train()
    train_step(values_task(), state, [values_batch(6)], rules())
    assert len(looks) > 2
    assert all(torch.equal(look, looks[0]) for look in looks)


class Cliff(nn.Module):
    """x times a weight; infinite once the weight is beyond 10, which a plain step reaches at once."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        value = inputs.sum(1, keepdim=True) * self.weight
        return value * (torch.nan if self.weight.abs() > 10 else 1.0)


def test_an_update_that_ends_where_nothing_is_finite_is_undone_and_told() -> None:
    state = lbfgs_state(Cliff(), lr=1e6, line_search=False, max_iter=5)
    batch = values_batch(8)
    batch = Batch(as_tensor(batch.inputs), 100 * as_tensor(batch.targets), batch.indices)
    before, memory = weights(state), state.optimizers["train"].state_dict()
    with pytest.raises(Diverged, match="led to where nothing is finite"):
        train_step(values_task(), state, [batch], rules())
    assert torch.equal(weights(state), before)
    assert differences(state.optimizers["train"].state_dict(), memory) == []


def test_a_line_search_comes_back_from_where_nothing_is_finite() -> None:
    state = lbfgs_state(Cliff(), lr=20.0, max_iter=8)
    batch = values_batch(8)
    batch = Batch(as_tensor(batch.inputs), 5 * as_tensor(batch.inputs).sum(1, keepdim=True), batch.indices)
    for _ in range(4):
        train_step(values_task(), state, [batch], rules())
    assert weights(state).item() == pytest.approx(5.0, rel=1e-4)


def free_state() -> TrainState:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return state_of(model, schedule_free_adamw(params=[{"params": list(model.parameters())}], lr=0.05))


def test_the_weights_that_are_judged_are_the_average_and_those_that_train_come_back_to_the_bit() -> None:
    state = free_state()
    places = []
    for number in range(5):
        train_step(values_task(), state, [values_batch(8, torch.float32, first_row=number)], rules())
        moved = state.optimizers["train"].state
        places.append(torch.cat([moved[p]["z"].flatten() for p in state.networks.parameters()]).clone())
    trained = weights(state)
    with state.eval_weights():
        torch.testing.assert_close(weights(state), torch.stack(places).mean(0))
    assert torch.equal(weights(state), trained)
    with pytest.raises(RuntimeError, match="in between"), state.eval_weights():
        raise RuntimeError("in between")
    assert torch.equal(weights(state), trained)
    saved = state.state_dict()
    assert torch.equal(torch.cat([w.flatten() for w in saved["networks"].values()]), trained)
    averaged = torch.cat([w.flatten() for w in saved["eval_weights"].values()])
    torch.testing.assert_close(averaged, torch.stack(places).mean(0))


def test_other_optimizers_are_judged_as_they_are() -> None:
    state = lbfgs_state()
    with state.eval_weights():
        assert weights(state).numel() == 4
    assert "eval_weights" not in state.state_dict()


def muon_of_toy(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    matrices = [p for group in groups for p in group["params"] if p.ndim == 2]
    return muon(params=groups, hidden_matrices=matrices[:1])


MAKE: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "lbfgs": lambda groups: lbfgs(params=[{"params": group["params"]} for group in groups], max_iter=2),
    "muon": muon_of_toy,
    "schedule_free_adamw": lambda groups: schedule_free_adamw(params=groups),
}


def mid_epoch(run: Run, stop: AskedStop) -> None:
    run.observers.append(lambda record: stop.ask() if isinstance(record, StepRecord) and record.step == 9 else None)


def in_validation(run: Run, stop: AskedStop) -> None:
    run.on_read = lambda evaluation, batch: stop.ask() if (evaluation, batch) == (2, 2) else None


def at_epoch_end(run: Run, stop: AskedStop) -> None:
    run.observers.append(lambda record: stop.ask() if isinstance(record, EpochRecord) and record.epoch == 1 else None)


@pytest.mark.parametrize("place", [mid_epoch, in_validation, at_epoch_end])
@pytest.mark.parametrize("optim", MAKE)
def test_a_run_stopped_and_resumed_ends_with_the_same_bits(optim: str, place: Place, tmp_path: Path) -> None:
    clip = None if optim == "lbfgs" else 1.0
    runs = {
        name: Run(tmp_path / name, "cosine", make_optimizer=MAKE[optim], clip_norm=clip)
        for name in ("whole", "stopped")
    }
    runs["whole"].fit()
    stop = AskedStop()
    place(runs["stopped"], stop)
    with pytest.raises(Interrupted):
        runs["stopped"].fit(stop)
    resumed = Run(tmp_path / "stopped", "cosine", make_optimizer=MAKE[optim], clip_norm=clip)
    resumed.fit()
    assert resumed.state.step == 3 * BATCHES
    for name in ("last.pt", "best.pt"):
        one, two = (read_checkpoint(tmp_path / run / name) for run in runs)
        assert differences(one, two) == []


def test_best_pt_of_a_schedule_free_run_holds_the_weights_that_were_judged(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=1, make_optimizer=MAKE["schedule_free_adamw"])
    run.fit()
    best, last = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "last.pt")
    assert differences(best["networks"], last["eval_weights"]) == []
    assert differences(best["networks"], last["networks"]) != []


def test_hidden_matrices_of_the_toy_are_those_that_muon_takes() -> None:
    assert len(hidden_matrices([nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))])) == 1
