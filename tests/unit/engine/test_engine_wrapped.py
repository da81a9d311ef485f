"""SAM and Lookahead through the engine, against their papers' formulas in float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_toys import BATCHES, AskedStop, Run, differences, rules, split_batch, state_of, values_batch, values_task
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.engine.state import TrainState
from dlexp.engine.step import train_step
from dlexp.errors import Diverged, Interrupted
from dlexp.optim.optimizers.wrappers import lookahead, sam
from dlexp.regularization.constraints import MaxNorm
from dlexp.regularization.penalties import Penalty
from dlexp.types import Batch, as_tensor

Groups = list[dict[str, Any]]
Make = Callable[..., torch.optim.Optimizer]


def made(make: Make, *layers: nn.Module, **settings: Any) -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(*(layers or (nn.Linear(3, 1),))).double()
    return state_of(model, make(params=[{"params": list(model.parameters())}], **settings))


def weights(state: TrainState) -> Tensor:
    return torch.cat([p.detach().flatten() for p in state.networks.parameters()]).clone()


def slope(w: Tensor, batch: Batch, l2: float = 0.0) -> Tensor:
    """The gradient by hand of the mean squared error of a line, w = (3 slopes, offset), and of l2 times the slopes²."""
    inputs = torch.cat([as_tensor(batch.inputs), torch.ones(len(batch), 1, dtype=torch.float64)], dim=1)
    error = inputs @ w[:, None] - as_tensor(batch.targets)
    return (2 / len(batch) * inputs.T @ error).flatten() + 2 * l2 * torch.cat([w[:3], torch.zeros(1)])


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_is_the_paper_s_program_with_penalty_accumulation_and_clipping(adaptive: bool) -> None:
    settings = {"radius": 0.3, "adaptive": adaptive, "lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}
    state, l2, limit = made(sam, **settings), 0.2, 3.0
    w, v = weights(state), torch.zeros(4, dtype=torch.float64)
    clipped = 0
    for number in range(8):
        batch = values_batch(12, first_row=number)
        train_step(values_task(), state, split_batch(batch, 5, 5, 2), rules(Penalty(0.0, l2), clip_norm=limit))
        g = slope(w, batch, l2)
        e = 0.3 * w**2 * g / (w.abs() * g).norm() if adaptive else 0.3 * g / g.norm()
        g = slope(w + e, batch, l2)
        clipped += bool(g.norm() > limit)
        g = g * (limit / (g.norm() + 1e-6)).clamp(max=1) + 0.05 * w
        v = 0.8 * v + g if number else g
        w = w - 0.1 * v
        torch.testing.assert_close(weights(state), w, rtol=1e-10, atol=1e-12)
    assert 0 < clipped < 8


def test_sam_around_adamw_takes_momentum_for_beta1() -> None:
    state = made(sam, base="adamw", radius=0.3, lr=0.1, momentum=0.7, weight_decay=0.05)
    w = weights(state)
    m = v = torch.zeros(4, dtype=torch.float64)
    for t in range(1, 6):
        batch = values_batch(12, first_row=t)
        train_step(values_task(), state, [batch], rules())
        g = slope(w, batch)
        g = slope(w + 0.3 * g / g.norm(), batch)
        m, v = 0.7 * m + 0.3 * g, 0.999 * v + 0.001 * g**2
        w = w * (1 - 0.1 * 0.05) - 0.1 * m / (1 - 0.7**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        torch.testing.assert_close(weights(state), w, rtol=1e-9, atol=1e-12)


def test_sam_looks_twice_with_one_dropout_and_counts_once() -> None:
    looks: list[Tensor] = []

    class Noted(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            looks.append((inputs == 0).detach())
            return inputs

    state = made(sam, nn.BatchNorm1d(3), nn.Linear(3, 16), nn.Dropout(0.5), Noted(), nn.Linear(16, 1))
    state.networks.train()
    batch = values_batch(8)
    train_step(values_task(), state, [batch], rules())
    assert len(looks) == 2
    assert torch.equal(looks[0], looks[1])
    assert 0 < int(looks[0].sum()) < looks[0].numel()
    norm = state.networks["model"].get_submodule("0")
    torch.testing.assert_close(norm.get_buffer("running_mean"), 0.1 * as_tensor(batch.inputs).mean(0))
    assert state.sums.count == 8


def test_weights_without_a_gradient_stay_and_a_gradient_of_zeros_moves_nothing() -> None:
    for make in (sam, lookahead):
        state = made(make, nn.Linear(3, 3), nn.Linear(3, 1), weight_decay=0.0)
        frozen = state.networks["model"].get_submodule("0")
        frozen.requires_grad_(False)
        before = weights(state)
        train_step(values_task(), state, [values_batch(8)], rules())
        assert torch.equal(weights(state)[:12], before[:12])
        assert not torch.equal(weights(state), before)
    state, batch = made(sam, nn.Linear(3, 1), weight_decay=0.0), values_batch(8)
    exact = Batch(batch.inputs, state.networks["model"](batch.inputs).detach(), batch.indices)
    before = weights(state)
    train_step(values_task(), state, [exact], rules())
    assert torch.equal(weights(state), before)


def test_sam_keeps_the_largest_norm_and_tells_what_is_not_finite() -> None:
    state = made(sam, nn.Linear(3, 1), lr=10.0)
    train_step(values_task(), state, [values_batch(8)], replace(rules(), max_norm=MaxNorm(0.5)))
    assert weights(state)[:3].norm() <= 0.5 + 1e-12
    state = made(sam, nn.Linear(3, 1), lr=1.7e308)
    before = weights(state)
    with pytest.raises(Diverged, match="led to where nothing is finite"):
        train_step(values_task(), state, [values_batch(8)], rules())
    assert torch.equal(weights(state), before)


def test_lookahead_is_the_paper_s_program_and_judges_the_slow_weights() -> None:
    settings: dict[str, Any] = {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.0}
    state = made(lookahead, base="sgd", sync_every=3, slow_step=0.4, **settings)
    fast = slow = weights(state)
    v = torch.zeros(4, dtype=torch.float64)
    for number in range(1, 9):
        batch = values_batch(12, first_row=number)
        train_step(values_task(), state, [batch], rules())
        g = slope(fast, batch)
        v = 0.8 * v + g if number > 1 else g
        fast = fast - 0.1 * v
        if number % 3 == 0:
            slow = slow + 0.4 * (fast - slow)
            fast = slow
        torch.testing.assert_close(weights(state), fast, rtol=1e-10, atol=1e-12)
        trained = weights(state)
        with state.eval_weights():
            torch.testing.assert_close(weights(state), slow, rtol=1e-10, atol=1e-12)
        assert torch.equal(weights(state), trained)


def test_a_weight_that_thaws_late_begins_its_slow_weight_there() -> None:
    state = made(lookahead, nn.Linear(3, 3), nn.Linear(3, 1), base="sgd", sync_every=2, slow_step=0.5, lr=0.1)
    state.networks["model"].get_submodule("0").requires_grad_(False)
    train_step(values_task(), state, [values_batch(8)], rules())
    begin, twin = weights(state)[:12], deepcopy(state)
    twin.optimizers["train"].param_groups[0]["sync_every"] = 9  # this one shows where the fast weights go
    for one in (state, twin):
        one.networks["model"].get_submodule("0").requires_grad_(True)
        train_step(values_task(), one, [values_batch(8)], rules())
    moved = weights(twin)[:12] - begin
    assert moved.norm() > 0
    torch.testing.assert_close(weights(state)[:12], begin + 0.5 * moved, rtol=1e-12, atol=1e-12)


def test_eval_and_train_alone_are_there_and_back() -> None:
    state = made(lookahead, sync_every=4)
    train_step(values_task(), state, [values_batch(8)], rules())
    optimizer: Any = state.optimizers["train"]
    trained, memory = weights(state), deepcopy(optimizer.state_dict())
    optimizer.eval()
    assert not torch.equal(weights(state), trained)
    optimizer.train()
    assert torch.equal(weights(state), trained)
    assert differences(optimizer.state_dict(), memory) == []


@pytest.mark.parametrize("make", [sam, lookahead])
def test_a_deep_copy_goes_on_by_itself(make: Make) -> None:
    state = made(make)
    train_step(values_task(), state, [values_batch(8)], rules())
    twin = deepcopy(state)
    for one in (state, twin):
        train_step(values_task(), one, [values_batch(8, first_row=8)], rules())
    assert torch.equal(weights(state), weights(twin))
    before = weights(state)
    train_step(values_task(), twin, [values_batch(8)], rules())
    assert torch.equal(weights(state), before)


@pytest.mark.parametrize("base", ["sgd", "adamw"])
@pytest.mark.parametrize("name", ["sam", "lookahead"])
def test_a_run_stopped_within_a_round_and_resumed_ends_with_the_same_bits(name: str, base: str, tmp_path: Path) -> None:
    def make(groups: Groups) -> torch.optim.Optimizer:
        factory: Make = sam if name == "sam" else lookahead
        return factory(params=groups, base=base, lr=0.01)

    runs = {folder: Run(tmp_path / folder, "onecycle", make_optimizer=make) for folder in ("whole", "stopped")}
    runs["whole"].fit()
    stop = AskedStop()
    runs["stopped"].observers.append(
        lambda record: stop.ask() if isinstance(record, StepRecord) and record.step == 9 else None
    )
    with pytest.raises(Interrupted):
        runs["stopped"].fit(stop)
    resumed = Run(tmp_path / "stopped", "onecycle", make_optimizer=make)
    resumed.fit()
    assert resumed.state.step == 3 * BATCHES
    for file in ("last.pt", "best.pt"):
        one, two = (read_checkpoint(tmp_path / run / file) for run in runs)
        assert differences(one, two) == []


def test_best_pt_of_lookahead_holds_the_slow_weights(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=1, make_optimizer=lambda groups: lookahead(params=groups, sync_every=4))
    run.fit()
    best, last = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "last.pt")
    assert differences(best["networks"], last["eval_weights"]) == []
    assert differences(best["networks"], last["networks"]) != []
    assert [type(record) for record in run.records] == [EpochRecord]


def test_the_closure_is_wanted_by_one_and_not_by_the_other() -> None:
    params = [{"params": [nn.Parameter(torch.zeros(1))]}]
    with pytest.raises(TypeError, match="gradient twice"):
        sam(params=deepcopy(params)).step()
    with pytest.raises(TypeError, match="not support a closure"):
        lookahead(params=deepcopy(params)).step(lambda: 0.0)
    with pytest.raises(ValueError, match="base='adam'"):
        sam(params=params, base="adam")
