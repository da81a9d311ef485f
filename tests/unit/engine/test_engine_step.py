from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engine_toys import rules, split_batch, state_of, values_batch, values_task
from torch import Tensor, nn

from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules, train_step
from dlexp.errors import Diverged
from dlexp.optim.schedules.smooth import cosine
from dlexp.regularization.penalties import Penalty
from dlexp.regularization.weight_averaging import Ema
from dlexp.runtime.precision import Precision
from dlexp.types import Batch, as_tensor

BF16 = Precision("bf16", "cpu", "")
FP16 = Precision("fp16", "cpu", "")


def linear_state(lr: float = 0.1, dtype: torch.dtype = torch.float64, precision: Precision | None = None) -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return state_of(model, optimizer, precision) if precision else state_of(model, optimizer)


def weights(state: TrainState) -> Tensor:
    return torch.cat([p.detach().flatten() for p in state.networks.parameters()]).clone()


def moved(state: TrainState, micro_batches: list[Batch], how: StepRules) -> Tensor:
    """What plain descent at rate 1 changes in one update: minus the gradient that was applied."""
    before = weights(state)
    train_step(values_task(), state, micro_batches, how)
    return weights(state) - before


@pytest.mark.parametrize("sizes", [(8, 8, 8, 8), (8, 8, 8, 3), (5, 1, 2), (2, 9)])
def test_a_window_is_one_batch_of_all_its_samples(sizes: tuple[int, ...]) -> None:
    whole = values_batch(sum(sizes))
    one, several = linear_state(), linear_state()
    train_step(values_task(), one, [whole], rules())
    train_step(values_task(), several, split_batch(whole, *sizes), rules())
    torch.testing.assert_close(weights(several), weights(one), rtol=1e-13, atol=1e-15)
    assert several.sums.means()["loss"] == pytest.approx(one.sums.means()["loss"], rel=1e-13)
    assert (several.batch, several.step, several.sums.count) == (len(sizes), 1, sum(sizes))


def test_a_step_is_gradient_descent_on_the_mean_loss() -> None:
    state, batch = linear_state(lr=0.5), values_batch(6)
    before = weights(state)
    loss = (state.networks["model"](batch.inputs) - batch.targets).square().mean()
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(state.networks.parameters()))])
    train_step(values_task(), state, [batch], rules())
    torch.testing.assert_close(weights(state), before - 0.5 * gradient, rtol=1e-13, atol=1e-15)


def test_clip_norm_limits_the_norm_and_keeps_the_direction() -> None:
    free = moved(linear_state(lr=1.0), [values_batch(8)], rules())
    clipped = moved(linear_state(lr=1.0), [values_batch(8)], rules(clip_norm=0.01))
    assert free.norm() > 0.02
    assert clipped.norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm())


def test_a_gradient_below_clip_norm_is_left_alone() -> None:
    free = moved(linear_state(lr=1.0), [values_batch(8)], rules())
    assert torch.equal(moved(linear_state(lr=1.0), [values_batch(8)], rules(clip_norm=1e6)), free)


@pytest.mark.parametrize("norm", [0.01, 50.0])
def test_gradient_norm_is_the_norm_of_every_gradient_and_keeps_the_direction(norm: float) -> None:
    free = moved(linear_state(lr=1.0), [values_batch(8)], rules())
    scaled = moved(linear_state(lr=1.0), [values_batch(8)], replace(rules(), gradient_norm=norm))
    assert 0.01 < free.norm() < 50
    assert scaled.norm() == pytest.approx(norm, rel=1e-12)
    torch.testing.assert_close(scaled / norm, free / free.norm(), rtol=1e-12, atol=1e-14)


def test_a_gradient_of_zeros_keeps_its_norm_and_one_that_is_not_finite_is_told() -> None:
    state, batch = linear_state(lr=1.0), values_batch(8)
    exact = replace(batch, targets=state.networks["model"](batch.inputs).detach())
    assert not moved(state, [exact], replace(rules(), gradient_norm=1.0)).any()
    infinite = replace(batch, targets=as_tensor(batch.targets) * 1e200)
    with pytest.raises(Diverged):
        moved(linear_state(lr=1.0), [infinite], replace(rules(), gradient_norm=1.0))


def test_the_norm_is_set_before_the_scale_of_fp16_and_after_it_is_taken_out() -> None:
    state = linear_state(1.0, torch.float32, FP16)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaled = moved(state, [values_batch(8, torch.float32)], replace(rules(precision=FP16), gradient_norm=2.0))
    assert scaled.norm() == pytest.approx(2.0, rel=1e-4)


def test_clipping_looks_at_the_unscaled_gradient() -> None:
    batch = values_batch(8, torch.float32)
    state = linear_state(1.0, torch.float32, FP16)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)  # fp16 does not overflow at it
    limit = 1e3  # far above the gradient, below the gradient times the scale
    clipped = moved(state, [batch], rules(clip_norm=limit, precision=FP16))
    free = moved(linear_state(1.0, torch.float32), [batch], rules())
    assert free.norm() < limit < 1024 * free.norm()
    torch.testing.assert_close(clipped, free, rtol=0.02, atol=0.02)


def test_an_overflow_in_fp16_skips_the_update_without_a_warning_and_halves_the_scale() -> None:
    state = linear_state(1.0, torch.float32, FP16)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    schedule = cosine(optimizer=state.optimizers["train"], total_steps=10, steps_per_epoch=5)
    state.schedules["train"] = schedule
    state.average = Ema(state.networks, 0.9)
    before = weights(state)
    train_step(values_task(), state, [values_batch(8, torch.float32)], rules(precision=FP16))
    assert torch.equal(weights(state), before)
    assert state.scaler.get_scale() == 2.0**39
    assert state.average.state_dict() == {"updates": 0}  # an average counts the updates that were made
    state.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    train_step(values_task(), state, [values_batch(8, torch.float32)], rules(precision=FP16))
    assert state.average.state_dict() == {"updates": 1}


def test_penalties_reach_the_gradient_and_not_the_recorded_loss() -> None:
    batch = values_batch(8)
    plain, penalised = linear_state(lr=1.0), linear_state(lr=1.0)
    model = penalised.networks["model"]
    assert isinstance(model, nn.Sequential)
    start = [p.detach().clone() for p in model.parameters()]
    free = moved(plain, [batch], rules())
    held = moved(penalised, [batch], rules(Penalty(0.3, 0.2)))
    # d/dw of l1 |w| + l2 w^2 on the weights; nothing on the biases
    expected = torch.cat([(0.3 * p.sign() + 0.4 * p if p.ndim > 1 else 0 * p).flatten() for p in start])
    torch.testing.assert_close(free - held, expected, rtol=1e-12, atol=1e-14)
    assert penalised.sums.means() == plain.sums.means()


def test_a_penalty_counts_once_in_a_window_of_several_batches() -> None:
    batch, how = values_batch(8), rules(Penalty(0.3, 0.2))
    one = moved(linear_state(lr=1.0), [batch], how)
    four = moved(linear_state(lr=1.0), split_batch(batch, 2, 2, 2, 2), how)
    torch.testing.assert_close(four, one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_told_with_its_place_before_any_weight_changes(bad: float) -> None:
    state = linear_state()
    state.epoch, state.batch = 4, 6
    micro_batches = split_batch(values_batch(8, first_row=40), 4, 4)
    as_tensor(micro_batches[1].targets)[2] = bad
    before = weights(state)
    with pytest.raises(Diverged, match=r"epoch 5, batch 8 .*rows \[44, 45, 46, 47\]"):
        train_step(values_task(), state, micro_batches, rules())
    assert torch.equal(weights(state), before)
    assert state.step == 0


def test_bf16_on_the_cpu_trains_and_keeps_its_weights_in_float32() -> None:
    state, batch = linear_state(0.05, torch.float32), values_batch(32, torch.float32)
    losses = []
    for _ in range(30):
        state.sums.sums.clear()
        state.sums.count = 0
        train_step(values_task(), state, [batch], rules(precision=BF16))
        losses.append(state.sums.means()["loss"])
    assert losses[-1] < 0.6 * losses[0]
    assert {p.dtype for p in state.networks.parameters()} == {torch.float32}


def dropout_state() -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 1)).double()
    return state_of(model, torch.optim.SGD(model.parameters(), lr=1.0))


def dropout_move(epoch: int, batch: int, seed: int = 7, drawn_before: int = 0) -> Tensor:
    state = dropout_state()
    state.epoch, state.batch = epoch, batch
    torch.rand(drawn_before)
    return moved(state, [values_batch(8)], rules(seed=seed))


def test_dropout_belongs_to_seed_epoch_and_batch_whatever_ran_before() -> None:
    first = dropout_move(2, 5)
    assert torch.equal(dropout_move(2, 5, drawn_before=1000), first)
    for other in (dropout_move(3, 5), dropout_move(2, 6), dropout_move(2, 5, seed=8)):
        assert not torch.equal(other, first)


def test_the_batches_of_a_window_draw_different_dropout() -> None:
    batch = values_batch(4)
    twice = moved(dropout_state(), [batch, batch], rules())
    once = moved(dropout_state(), [batch], rules())
    assert not torch.allclose(twice, once)  # the mean of two equal draws would be the draw itself
