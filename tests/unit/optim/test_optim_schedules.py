from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import cos, nan, pi
from typing import Any

import pytest
import torch
from optim_toys import LR, PER_EPOCH, STEPS, Make, one, optimizer, rates
from torch import nn

from dlexp.optim.schedules.base import Schedule
from dlexp.optim.schedules.cyclic import cosine_restarts, cyclic
from dlexp.optim.schedules.smooth import constant, cosine, linear, noam, onecycle, plateau, polynomial, wsd
from dlexp.optim.schedules.step import exponential, multistep, step

LENGTH: dict[str, Any] = {"total_steps": STEPS, "steps_per_epoch": PER_EPOCH}
EVERY: dict[str, Make] = {
    "constant": lambda o: constant(optimizer=o, total_steps=STEPS, steps_per_epoch=PER_EPOCH),
    "constant after warm-up": lambda o: constant(
        optimizer=o, total_steps=STEPS, steps_per_epoch=PER_EPOCH, warmup_steps=4
    ),
    "cosine": lambda o: cosine(optimizer=o, total_steps=STEPS, steps_per_epoch=PER_EPOCH, min_factor=0.1),
    "cosine after warm-up": lambda o: cosine(
        optimizer=o, total_steps=STEPS, steps_per_epoch=PER_EPOCH, warmup_epochs=1.2
    ),
    "onecycle": lambda o: onecycle(optimizer=o, total_steps=STEPS),
    "plateau": lambda o: plateau(optimizer=o, total_steps=STEPS, steps_per_epoch=PER_EPOCH, maximize=False, patience=0),
    "plateau after warm-up": lambda o: plateau(
        optimizer=o, total_steps=STEPS, steps_per_epoch=PER_EPOCH, maximize=False, patience=0, warmup_steps=7
    ),
    "step": lambda o: step(optimizer=o, **LENGTH, step_size=1, gamma=0.3, warmup_epochs=0.6),
    "step by updates": lambda o: step(optimizer=o, **LENGTH, step_size=3, gamma=0.3, unit="steps", warmup_steps=2),
    "multistep": lambda o: multistep(optimizer=o, **LENGTH, milestones=(1, 3), gamma=0.3, warmup_epochs=0.6),
    "exponential": lambda o: exponential(optimizer=o, **LENGTH, gamma=0.7),
    "polynomial": lambda o: polynomial(optimizer=o, **LENGTH, power=2.5, min_factor=0.1, warmup_steps=3),
    "linear": lambda o: linear(optimizer=o, **LENGTH, warmup_epochs=0.6),
    "noam": lambda o: noam(optimizer=o, **LENGTH, warmup_steps=4),
    "wsd": lambda o: wsd(optimizer=o, **LENGTH, decay_share=0.5, warmup_steps=2),
    "cosine_restarts": lambda o: cosine_restarts(optimizer=o, **LENGTH, period=1, warmup_steps=2),
    "cyclic": lambda o: cyclic(optimizer=o, steps_per_epoch=PER_EPOCH, rise=0.6, fall=1.0, mode="triangular2"),
    "cyclic, exp_range": lambda o: cyclic(optimizer=o, steps_per_epoch=PER_EPOCH, mode="exp_range", gamma=0.9),
}


def test_constant_stays() -> None:
    opt = optimizer()
    assert rates(opt, EVERY["constant"](opt)) == [LR] * STEPS


def test_cosine_follows_its_closed_form() -> None:
    opt = optimizer()
    found = rates(opt, EVERY["cosine"](opt))
    expected = [LR * (0.1 + 0.9 * (1 + cos(pi * t / STEPS)) / 2) for t in range(STEPS)]
    assert found == pytest.approx(expected, rel=1e-12)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.1 * LR)  # where the last update leaves it


def test_warm_up_rises_in_equal_shares_and_then_the_schedule_begins() -> None:
    opt = optimizer()
    found = rates(opt, EVERY["cosine after warm-up"](opt))
    warm = [LR * (t + 1) / 7 for t in range(6)]
    rest = [LR * (1 + cos(pi * t / 14)) / 2 for t in range(14)]
    assert found == pytest.approx(warm + rest, rel=1e-12)


def test_warm_up_in_steps_beats_warm_up_in_epochs() -> None:
    opt = optimizer()
    schedule = constant(optimizer=opt, total_steps=STEPS, steps_per_epoch=PER_EPOCH, warmup_epochs=2.0, warmup_steps=1)
    assert rates(opt, schedule, 3) == pytest.approx([LR / 2, LR, LR])


def test_onecycle_starts_low_peaks_after_its_share_and_ends_at_almost_nothing() -> None:
    opt = optimizer()
    steps = 99
    schedule = onecycle(
        optimizer=opt, total_steps=steps, max_factor=2.0, pct_start=0.3, div_factor=10, final_div_factor=100
    )
    found, momenta = [], []
    for number in range(1, steps + 1):
        found.append(opt.param_groups[0]["lr"])
        momenta.append(opt.param_groups[0]["momentum"])
        one(opt, schedule, number)
    found.append(opt.param_groups[0]["lr"])
    peak = found.index(max(found))
    assert peak == 29  # 0.3 of 100 rates, counted from 0
    assert found[0] == pytest.approx(2 * LR / 10)
    assert found[peak] == pytest.approx(2 * LR)
    assert found[-1] == pytest.approx(2 * LR / 10 / 100)
    low, high = 2 * LR / 10, 2 * LR
    rise = [low + (high - low) * (1 - cos(pi * t / 29)) / 2 for t in range(30)]
    assert found[:30] == pytest.approx(rise, rel=1e-9)
    assert momenta[0] == pytest.approx(0.95)
    assert momenta[peak] == pytest.approx(0.85)
    rises = [after > before for before, after in pairwise(found[:-1])]
    assert [after < before for before, after in pairwise(momenta)] == rises


def test_onecycle_turns_the_first_beta_of_adam() -> None:
    opt = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=LR, betas=(0.9, 0.99))
    onecycle(optimizer=opt, total_steps=STEPS)
    assert opt.param_groups[0]["betas"] == pytest.approx((0.95, 0.99))


def test_onecycle_without_a_momentum_to_turn_is_an_error_that_says_what_to_set() -> None:
    opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    with pytest.raises(ValueError, match=r"scheduler\.cycle_momentum=false"):
        onecycle(optimizer=opt, total_steps=STEPS)
    onecycle(optimizer=opt, total_steps=STEPS, cycle_momentum=False)
    assert opt.param_groups[0]["momentum"] == 0


@pytest.mark.parametrize(("maximize", "sign"), [(False, 1.0), (True, -1.0)])
def test_plateau_lowers_the_rate_once_patience_is_spent(maximize: bool, sign: float) -> None:
    opt = optimizer()
    schedule = plateau(
        optimizer=opt, total_steps=STEPS, steps_per_epoch=1, maximize=maximize, factor=0.5, patience=1, min_lr=0.08
    )
    found = []
    for metric in (3.0, 2.0, 2.0, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0):
        opt.step()
        schedule.step()
        schedule.epoch_end(sign * metric)
        found.append(opt.param_groups[0]["lr"])
    assert found == pytest.approx([LR, LR, LR, LR / 2, LR / 2, LR / 2, 0.08, 0.08, 0.08])


def test_plateau_takes_nan_for_no_improvement_and_recovers() -> None:
    opt = optimizer()
    schedule = plateau(optimizer=opt, total_steps=STEPS, steps_per_epoch=1, maximize=False, factor=0.5, patience=0)
    found = []
    for metric in (nan, 1.0, nan, 0.5):
        opt.step()
        schedule.step()
        schedule.epoch_end(metric)
        found.append(opt.param_groups[0]["lr"])
    assert found == pytest.approx([LR / 2, LR / 2, LR / 4, LR / 4])


def test_plateau_counts_a_gain_below_its_threshold_as_none() -> None:
    opt = optimizer()
    schedule = plateau(
        optimizer=opt, total_steps=STEPS, steps_per_epoch=1, maximize=False, factor=0.5, patience=0, threshold=0.1
    )
    found = []
    for metric in (1.0, 0.95, 0.8):
        opt.step()
        schedule.step()
        schedule.epoch_end(metric)
        found.append(opt.param_groups[0]["lr"])
    assert found == pytest.approx([LR, LR / 2, LR / 2])


def test_plateau_waits_for_the_warm_up() -> None:
    opt = optimizer()
    found = rates(opt, EVERY["plateau after warm-up"](opt))
    # flat from the first epoch; the first that counts is the second (updates 5 to 9)
    assert found[:8] == pytest.approx([LR * (t + 1) / 8 for t in range(8)])
    assert found[8:] == pytest.approx([LR] * 7 + [LR / 2] * 5)


@pytest.mark.parametrize("name", EVERY)
def test_the_ratio_between_two_groups_is_kept(name: str) -> None:
    opt = optimizer(ratio=0.1)
    schedule = EVERY[name](opt)
    for number in range(1, STEPS + 1):
        first, second = (group["lr"] for group in opt.param_groups)
        assert second == pytest.approx(0.1 * first, rel=1e-9)
        one(opt, schedule, number)


@pytest.mark.parametrize("name", EVERY)
def test_a_restored_schedule_goes_on_to_the_bit_from_every_step(name: str) -> None:
    opt = optimizer()
    schedule = EVERY[name](opt)
    for done in range(STEPS):
        other = optimizer()
        continued = EVERY[name](other)
        other.load_state_dict(opt.state_dict())
        continued.load_state_dict(schedule.state_dict())
        expected_opt = optimizer()
        expected = EVERY[name](expected_opt)
        rates(expected_opt, expected, done)
        for number in range(done + 1, STEPS + 1):
            for key in ("lr", "momentum"):
                wanted = [group[key] for group in expected_opt.param_groups]
                assert [group[key] for group in other.param_groups] == wanted, (done, number, key)
            one(other, continued, number)
            one(expected_opt, expected, number)
        one(opt, schedule, done + 1)


LONGER: dict[str, Callable[[torch.optim.Optimizer, int], Schedule]] = {
    "onecycle": lambda o, n: onecycle(optimizer=o, total_steps=n),
    "cosine": lambda o, n: cosine(optimizer=o, total_steps=n, steps_per_epoch=PER_EPOCH, warmup_steps=3),
    "polynomial": lambda o, n: polynomial(optimizer=o, total_steps=n, steps_per_epoch=PER_EPOCH, warmup_steps=3),
    "wsd": lambda o, n: wsd(optimizer=o, total_steps=n, steps_per_epoch=PER_EPOCH, warmup_steps=3),
    "step": lambda o, n: step(optimizer=o, total_steps=n, steps_per_epoch=PER_EPOCH, step_size=3),
    "noam": lambda o, n: noam(optimizer=o, total_steps=n, steps_per_epoch=PER_EPOCH),
    "cosine_restarts": lambda o, n: cosine_restarts(optimizer=o, total_steps=n, steps_per_epoch=PER_EPOCH, period=1),
}


@pytest.mark.parametrize("name", LONGER)
def test_a_run_made_longer_gets_the_rates_of_its_new_length(name: str) -> None:
    make = LONGER[name]
    short = optimizer()
    first = make(short, STEPS)
    rates(short, first)
    longer, whole = optimizer(), optimizer()
    second, expected = make(longer, 2 * STEPS), make(whole, 2 * STEPS)
    longer.load_state_dict(short.state_dict())
    second.load_state_dict(first.state_dict())
    wanted = rates(whole, expected, 2 * STEPS)[STEPS:]
    assert rates(longer, second) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
def test_a_warm_up_that_takes_the_whole_run_is_an_error(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"{steps}\b.* {STEPS}\b"):
        cosine(optimizer=optimizer(), total_steps=STEPS, steps_per_epoch=PER_EPOCH, warmup_steps=steps)
