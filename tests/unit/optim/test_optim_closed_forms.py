"""Every new schedule update by update: against its formula, and against torch's own where torch has one."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sqrt
from typing import Any

import pytest
import torch
from optim_toys import LR, PER_EPOCH, STEPS, one, optimizer, rates
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

from dlexp.optim.schedules.cyclic import cosine_restarts, cyclic
from dlexp.optim.schedules.smooth import linear, noam, plateau, polynomial, wsd
from dlexp.optim.schedules.step import exponential, multistep, step

LENGTH: dict[str, Any] = {"total_steps": STEPS, "steps_per_epoch": PER_EPOCH}


def torch_rates(opt: torch.optim.Optimizer, scheduler: LRScheduler, every: int = 1, steps: int = STEPS) -> list[float]:
    """The rate of each update under one of torch's schedulers, stepped after every so many updates."""
    found = []
    for number in range(1, steps + 1):
        found.append(opt.param_groups[0]["lr"])
        opt.step()
        if number % every == 0:
            scheduler.step()
    return found


def test_step_by_epochs_is_torchs_stepped_at_the_end_of_each_epoch() -> None:
    opt, other = optimizer(), optimizer()
    found = rates(opt, step(optimizer=opt, **LENGTH, step_size=2, gamma=0.3))
    assert found == pytest.approx(torch_rates(other, StepLR(other, 2, 0.3), PER_EPOCH), rel=1e-12)
    assert found == pytest.approx([LR] * 10 + [0.3 * LR] * 10)


def test_step_by_updates_is_torchs_stepped_after_each() -> None:
    opt, other = optimizer(), optimizer()
    found = rates(opt, step(optimizer=opt, **LENGTH, step_size=3, gamma=0.5, unit="steps"))
    assert found == pytest.approx(torch_rates(other, StepLR(other, 3, 0.5)), rel=1e-12)


def test_step_behind_a_warm_up_falls_between_two_epochs() -> None:
    opt = optimizer()
    found = rates(opt, step(optimizer=opt, **LENGTH, step_size=1, gamma=0.5, warmup_epochs=0.6))
    warm = [LR / 4, LR / 2, 3 * LR / 4]
    assert found == pytest.approx(warm + [LR] * 2 + [LR / 2] * 5 + [LR / 4] * 5 + [LR / 8] * 5)


def test_multistep_counts_epochs_of_the_run_and_is_torchs() -> None:
    opt, other = optimizer(), optimizer()
    found = rates(opt, multistep(optimizer=opt, **LENGTH, milestones=[1, 3], gamma=0.3))
    assert found == pytest.approx(torch_rates(other, MultiStepLR(other, [1, 3], 0.3), PER_EPOCH), rel=1e-12)
    opt = optimizer()
    found = rates(opt, multistep(optimizer=opt, **LENGTH, milestones=[2], gamma=0.3, warmup_steps=6))
    assert found[6:] == pytest.approx([LR] * 4 + [0.3 * LR] * 10)  # epoch 2 ends with update 10, warm-up or not


def test_multistep_by_updates() -> None:
    opt, other = optimizer(), optimizer()
    found = rates(opt, multistep(optimizer=opt, **LENGTH, milestones=[4, 7, 11], gamma=0.5, unit="steps"))
    assert found == pytest.approx(torch_rates(other, MultiStepLR(other, [4, 7, 11], 0.5)), rel=1e-12)


@pytest.mark.parametrize("wrong", [[3, 1], [2, 2]])
def test_milestones_must_rise(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match=r"scheduler\.milestones"):
        multistep(optimizer=optimizer(), **LENGTH, milestones=wrong)


@pytest.mark.parametrize(("unit", "every"), [("epochs", PER_EPOCH), ("steps", 1)])
def test_exponential_is_torchs(unit: str, every: int) -> None:
    opt, other = optimizer(), optimizer()
    found = rates(opt, exponential(optimizer=opt, **LENGTH, gamma=0.9, unit=unit))
    assert found == pytest.approx(torch_rates(other, ExponentialLR(other, 0.9), every), rel=1e-12)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial_is_torchs_and_its_formula(power: float) -> None:
    opt, other = optimizer(), optimizer()
    found = rates(opt, polynomial(optimizer=opt, **LENGTH, power=power))
    assert found == pytest.approx(torch_rates(other, PolynomialLR(other, STEPS, power)), rel=1e-12)
    opt = optimizer()
    found = rates(opt, polynomial(optimizer=opt, **LENGTH, power=power, min_factor=0.2, warmup_steps=4))
    assert found[4:] == pytest.approx([LR * (0.2 + 0.8 * (1 - t / 16) ** power) for t in range(16)], rel=1e-12)


def test_linear_is_a_straight_line_to_its_floor() -> None:
    opt = optimizer()
    found = rates(opt, linear(optimizer=opt, **LENGTH, min_factor=0.5, warmup_epochs=0.4))
    assert found == pytest.approx([LR / 3, 2 * LR / 3, *(LR * (1 - 0.5 * t / 18) for t in range(18))], rel=1e-12)
    assert opt.param_groups[0]["lr"] == pytest.approx(LR / 2)


@pytest.mark.parametrize("warmup", [0, 4])
def test_noam_is_the_formula_of_the_paper_at_a_width_that_gives_this_peak(warmup: int) -> None:
    opt, updates = optimizer(), warmup + 1
    found = rates(opt, noam(optimizer=opt, **LENGTH, warmup_steps=warmup))
    width = 1 / (LR**2 * updates)  # so that width^-0.5 W^-0.5, the paper's peak, is LR
    paper = [width**-0.5 * min(n**-0.5, n * updates**-1.5) for n in range(1, STEPS + 1)]
    assert found == pytest.approx(paper, rel=1e-12)


@pytest.mark.parametrize("shape", ["sqrt", "linear", "cosine"])
def test_wsd_rises_stays_and_falls(shape: str) -> None:
    opt = optimizer()
    schedule = wsd(optimizer=opt, **LENGTH, decay_share=0.4, decay_shape=shape, min_factor=0.1, warmup_steps=4)
    found = rates(opt, schedule)
    falls: dict[str, Callable[[float], float]] = {
        "sqrt": lambda s: 1 - sqrt(s),
        "linear": lambda s: 1 - s,
        "cosine": lambda s: (1 + cos(pi * s)) / 2,
    }
    decay = [LR * (0.1 + 0.9 * falls[shape](t / 8)) for t in range(8)]
    assert found == pytest.approx([LR * (t + 1) / 5 for t in range(4)] + [LR] * 8 + decay, rel=1e-12)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.1 * LR)


def test_a_decay_over_the_whole_run_begins_behind_the_warm_up() -> None:
    opt = optimizer()
    found = rates(opt, wsd(optimizer=opt, **LENGTH, decay_share=1.0, decay_shape="linear", warmup_steps=4))
    assert found[4:] == pytest.approx([LR * (1 - t / 16) for t in range(16)], rel=1e-12)


@pytest.mark.parametrize(("period", "factor", "unit"), [(3, 2, "steps"), (1, 1, "epochs"), (1, 2, "epochs")])
def test_cosine_restarts_are_torchs(period: int, factor: int, unit: str) -> None:
    opt, other = optimizer(), optimizer()
    schedule = cosine_restarts(optimizer=opt, **LENGTH, period=period, period_factor=factor, unit=unit)
    first = period * (PER_EPOCH if unit == "epochs" else 1)
    reference = CosineAnnealingWarmRestarts(other, T_0=first, T_mult=factor)
    assert rates(opt, schedule) == pytest.approx(torch_rates(other, reference), rel=1e-9, abs=1e-12)


def test_every_restart_is_at_the_full_rate_however_many_there_were() -> None:
    opt = optimizer()
    schedule = cosine_restarts(optimizer=opt, total_steps=600, steps_per_epoch=PER_EPOCH, period=3, unit="steps")
    found = rates(opt, schedule, 600)
    assert [t for t, rate in enumerate(found) if rate == LR] == [3 * (2**n - 1) for n in range(8)]


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_turns_rate_and_momentum_as_its_formula_says(mode: str) -> None:
    opt = optimizer()
    gamma = 0.9 if mode == "exp_range" else 0.999
    schedule = cyclic(
        optimizer=opt, steps_per_epoch=PER_EPOCH, base_factor=0.1, rise=4, fall=2, unit="steps", mode=mode, gamma=gamma
    )
    found, momenta = [], []
    for number in range(1, STEPS + 1):
        found.append(opt.param_groups[0]["lr"])
        momenta.append(opt.param_groups[0]["momentum"])
        one(opt, schedule, number)
    triangle = [0, 0.25, 0.5, 0.75, 1, 0.5]
    heights = [
        triangle[t % 6] * {"triangular": 1.0, "triangular2": 0.5 ** (t // 6)}.get(mode, 0.9**t) for t in range(20)
    ]
    assert found == pytest.approx([LR * (0.1 + 0.9 * height) for height in heights], rel=1e-9)
    assert momenta == pytest.approx([0.9 - 0.1 * height for height in heights], rel=1e-9)


def test_cyclic_in_epochs_is_torchs_in_updates() -> None:
    opt, other = optimizer(), optimizer()
    schedule = cyclic(optimizer=opt, steps_per_epoch=PER_EPOCH, base_factor=0.2, rise=0.6, fall=1.4)
    reference = CyclicLR(other, base_lr=0.2 * LR, max_lr=LR, step_size_up=3, step_size_down=7)
    assert rates(opt, schedule) == pytest.approx(torch_rates(other, reference), rel=1e-12)


def test_cyclic_refuses_what_it_cannot_turn() -> None:
    plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    with pytest.raises(ValueError, match=r"cyclic.* scheduler\.cycle_momentum=false"):
        cyclic(optimizer=plain, steps_per_epoch=PER_EPOCH)
    cyclic(optimizer=plain, steps_per_epoch=PER_EPOCH, cycle_momentum=False)
    with pytest.raises(ValueError, match=r"scheduler\.rise=0\.01"):
        cyclic(optimizer=optimizer(), steps_per_epoch=PER_EPOCH, rise=0.01)
    with pytest.raises(ValueError, match=r"scheduler\.gamma=0\.5.* scheduler\.mode=exp_range"):
        cyclic(optimizer=optimizer(), steps_per_epoch=PER_EPOCH, gamma=0.5)


def test_a_plateau_keeps_the_ratio_of_groups_down_to_its_floor() -> None:
    opt = optimizer(lr=1e-7, ratio=0.01)
    schedule = plateau(optimizer=opt, **LENGTH, maximize=False, patience=0, factor=0.1, min_lr=2e-9)
    found = []
    for number in range(1, STEPS + 1):
        one(opt, schedule, number)
        first, second = (group["lr"] for group in opt.param_groups)
        assert second == pytest.approx(0.01 * first, rel=1e-9)
        found.append(first)
    assert found[-1] == pytest.approx(2e-9)
