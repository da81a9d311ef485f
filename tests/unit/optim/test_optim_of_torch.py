"""Schedulers of torch in a run: torch's own values, a resume in the middle, and a scheduler for each phase."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim import lr_scheduler as of_torch

from dlexp.optim.schedules.base import Schedule
from dlexp.optim.schedules.of_torch import TorchSchedule, as_schedule
from dlexp.optim.schedules.smooth import constant

STEPS, PER_EPOCH = 20, 2
Make = Callable[[Optimizer], Any]


def _halved(epoch: int) -> float:
    return 0.5**epoch


PER_UPDATE: dict[str, Make] = {
    "CyclicLR": lambda o: of_torch.CyclicLR(o, 0.01, 0.2, step_size_up=3),
    "CyclicLR, exp_range": lambda o: of_torch.CyclicLR(o, 0.01, 0.2, step_size_up=4, mode="exp_range", gamma=0.9),
    "OneCycleLR": lambda o: of_torch.OneCycleLR(o, 0.3, total_steps=STEPS + 1),
}
PER_EPOCH_END: dict[str, Make] = {
    "ConstantLR": lambda o: of_torch.ConstantLR(o, 0.3, 4),
    "CosineAnnealingLR": lambda o: of_torch.CosineAnnealingLR(o, 6),
    "CosineAnnealingWarmRestarts": lambda o: of_torch.CosineAnnealingWarmRestarts(o, 3, 2),
    "ExponentialLR": lambda o: of_torch.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: of_torch.LambdaLR(o, _halved),
    "LinearLR": lambda o: of_torch.LinearLR(o, 0.2, 1.0, 5),
    "MultiStepLR": lambda o: of_torch.MultiStepLR(o, [2, 5], 0.1),
    "MultiplicativeLR": lambda o: of_torch.MultiplicativeLR(o, lambda epoch: 0.9),
    "PolynomialLR": lambda o: of_torch.PolynomialLR(o, 8, 2.0),
    "StepLR": lambda o: of_torch.StepLR(o, 3, 0.5),
    "ChainedScheduler": lambda o: of_torch.ChainedScheduler(
        [of_torch.ConstantLR(o, 0.5, 3), of_torch.ExponentialLR(o, 0.9)], optimizer=o
    ),
    "SequentialLR": lambda o: of_torch.SequentialLR(
        o, [of_torch.ConstantLR(o, 0.1, 3), of_torch.ExponentialLR(o, 0.9)], milestones=[3]
    ),
}
ALL = {**PER_UPDATE, **PER_EPOCH_END}


def optimizer() -> SGD:
    """Two parameter groups of different rates."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))], "lr": lr} for lr in (0.1, 0.02)]
    return SGD(groups, lr=0.1, momentum=0.9)


def rates(made: Optimizer) -> list[float]:
    return [value for group in made.param_groups for value in (float(group["lr"]), float(group["momentum"]))]


def update(made: Optimizer) -> None:
    for group in made.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones(2)
    made.step()


def ours(name: str, first: int = 0, saved: Any = None, last: int = STEPS) -> tuple[list[list[float]], Any]:
    """The rates of the updates from number `first` on, and the state after them."""
    made = optimizer()
    schedule = as_schedule(ALL[name](made), PER_EPOCH, maximize=False)
    if saved is not None:
        made.load_state_dict(saved[0])
        schedule.load_state_dict(saved[1])
    found = []
    for number in range(first, last):
        found.append(rates(made))
        update(made)
        schedule.step()
        if (number + 1) % PER_EPOCH == 0:
            schedule.epoch_end(1.0)
    return found, (made.state_dict(), schedule.state_dict())


@pytest.mark.parametrize("name", ALL)
def test_rates_are_those_that_torch_sets_by_itself(name: str) -> None:
    made = optimizer()
    scheduler, every = ALL[name](made), 1 if name in PER_UPDATE else PER_EPOCH
    expected = []
    for number in range(STEPS):
        expected.append(rates(made))
        update(made)
        if (number + 1) % every == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # SequentialLR calls its own deprecated argument
                scheduler.step()
    assert ours(name)[0] == expected
    assert len({tuple(step) for step in expected}) > 1


@pytest.mark.parametrize("at", [1, 7, 8, 13])
@pytest.mark.parametrize("name", ALL)
def test_a_resume_in_the_middle_of_an_epoch_changes_no_rate(name: str, at: int) -> None:
    whole, _ = ours(name)
    before, saved = ours(name, last=at)
    after, _ = ours(name, first=at, saved=saved)
    assert before + after == whole


@pytest.mark.parametrize("at", [3, 10])
def test_a_plateau_follows_the_metric_and_resumes(at: int) -> None:
    metrics = [1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8]

    def run(own: Schedule | of_torch.ReduceLROnPlateau, made: SGD, first: int, last: int) -> list[list[float]]:
        found = []
        for epoch in range(first, last):
            for _ in range(PER_EPOCH):
                update(made)
                if isinstance(own, Schedule):
                    own.step()
            if isinstance(own, Schedule):
                own.epoch_end(metrics[epoch])
            else:
                own.step(metrics[epoch])
            found.append(rates(made))
        return found

    made = optimizer()
    expected = run(of_torch.ReduceLROnPlateau(made, patience=1, factor=0.5), made, 0, 10)
    made = optimizer()
    first = as_schedule(of_torch.ReduceLROnPlateau(made, patience=1, factor=0.5), PER_EPOCH, maximize=False)
    assert first.follows_a_metric
    found = run(first, made, 0, at)
    again = optimizer()
    second = as_schedule(of_torch.ReduceLROnPlateau(again, patience=1, factor=0.5), PER_EPOCH, maximize=False)
    again.load_state_dict(made.state_dict())
    second.load_state_dict(first.state_dict())
    assert found + run(second, again, at, 10) == expected


def test_phases_have_schedules_that_do_not_know_each_other() -> None:
    first, second = optimizer(), optimizer()
    one = as_schedule(of_torch.StepLR(first, 1, 0.5), PER_EPOCH, maximize=False)
    other = as_schedule(of_torch.OneCycleLR(second, 0.3, total_steps=STEPS + 1), PER_EPOCH, maximize=False)
    alone = ours("OneCycleLR")[0]
    for number in range(STEPS):
        assert rates(second) == alone[number]
        assert rates(first)[0] == 0.1 * 0.5 ** (number // PER_EPOCH)
        update(first)
        update(second)
        one.step()
        other.step()


def test_what_is_no_schedule_is_refused_and_one_of_dlexp_stays() -> None:
    made = optimizer()
    own = constant(optimizer=made, total_steps=4, steps_per_epoch=2)
    assert as_schedule(own, 2, maximize=False) is own
    assert isinstance(as_schedule(of_torch.StepLR(made, 1), 2, maximize=True), TorchSchedule)
    with pytest.raises(TypeError, match="got dict"):
        as_schedule({}, 2, maximize=False)
    with pytest.raises(ValueError, match="mode must be max"):
        as_schedule(of_torch.ReduceLROnPlateau(made), 2, maximize=True)
