"""Runs that are trained as a stack are those that are trained alone: weights, rows, ends, and what is not stacked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from engine_toys import CLASSES, Run, differences
from torch import Tensor, nn

from dlexp.engine.loop import Update
from dlexp.engine.recovery import NonfinitePolicy, RecoveryHooks
from dlexp.engine.stacking.lockstep import Lockstep, StackPlan
from dlexp.engine.stacking.network import StackedNetwork
from dlexp.errors import Diverged
from dlexp.losses.classification import CrossEntropy
from dlexp.regularization.weight_averaging import Ema
from dlexp.tasks.base import Networks
from dlexp.tasks.classification import Classification
from dlexp.types import Batch, LossOutput

SCHEDULES = ("cosine", "plateau", "warmup", "onecycle")
TOLERANCE = 1e-4


def sgd(rate: float, decay: float) -> Callable[[list[dict[str, Any]]], torch.optim.Optimizer]:
    return lambda groups: torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=decay)


def members(folder: Path, count: int = 4, **given: Any) -> list[Run]:
    """Runs that differ in seed, rate, decay, schedule, clipping, length and averaging."""
    runs = []
    for number in range(count):
        runs.append(
            Run(
                folder / str(number),
                seed=3 + number,
                scheduler=SCHEDULES[number % 4],
                epochs=3 + 2 * (number == 2),
                clip_norm=(1.0, None, 0.1, 2.0)[number % 4],
                make_optimizer=sgd(0.03 * (number + 1), 1e-3 * number),
                **given,
            )
        )
        if number == 1:
            runs[-1].state.average = Ema(runs[-1].networks, 0.9)
    return runs


def together(runs: list[Run], **given: Any) -> tuple[list[Any], StackPlan]:
    """The outcomes of the runs trained as stacks, and how they were."""
    plans: list[StackPlan] = []
    outcomes = Lockstep([run.course() for run in runs], on_plan=plans.append, **given).run()
    return outcomes, plans[0]


def furthest(left: Run, right: Run) -> float:
    """The largest difference of a weight or statistic, relative to the largest number of its tensor."""
    pairs = zip(left.networks.state_dict().items(), right.networks.state_dict().values(), strict=True)
    # A bias before batch normalization has no effect: its gradient is rounding alone.
    return max(
        float((a.double() - b.double()).abs().max() / a.double().abs().max().clamp_min(1e-6))
        for (name, a), b in pairs
        if name != "model.0.bias"
    )


@pytest.mark.parametrize("accumulate", [1, 2])
def test_members_are_the_runs_alone(tmp_path: Path, accumulate: int) -> None:
    alone, stacked = (members(tmp_path / name, accumulate=accumulate) for name in ("alone", "stacked"))
    reasons = [run.fit() for run in alone]
    outcomes, plan = together(stacked)
    assert plan.stacks == ((0, 1, 2, 3),) and not plan.alone
    assert [outcome.result for outcome in outcomes] == reasons
    for one, other in zip(alone, stacked, strict=True):
        assert furthest(one, other) < TOLERANCE
        assert len(one.rows) == len(other.rows) == one.epochs
        for row, again in zip(one.rows, other.rows, strict=True):
            assert row.keys() == again.keys()
            assert all(again[name] == pytest.approx(row[name], rel=TOLERANCE, abs=1e-6) for name in row)


def test_the_checkpoint_of_a_member_resumes_alone(tmp_path: Path) -> None:
    whole = members(tmp_path / "whole")
    together(whole)
    halves = members(tmp_path / "half")
    for run in halves:
        run.epochs = 2  # the schedules keep the length of the whole run
    together(halves)
    rest = members(tmp_path / "half")
    for run, reference in zip(rest, whole, strict=True):
        run.fit()
        assert furthest(reference, run) < TOLERANCE
        assert run.rows[-1]["epoch"] == reference.epochs


def test_a_member_that_ends_disturbs_no_other_bit(tmp_path: Path) -> None:
    pair, both = members(tmp_path / "pair", 2), members(tmp_path / "three", 3)
    both[2].epochs = 1
    together(pair)
    together(both)
    for one, other in zip(pair, both, strict=False):
        assert differences(one.state.state_dict(), other.state.state_dict()) == []


class _Sick(Classification):
    """The loss becomes NaN in one update."""

    def __init__(self, epoch: int) -> None:
        super().__init__(spec=CLASSES, loss=CrossEntropy())
        self._sick_epoch, self._now = epoch, (0, 0)

    def begin_phase(self, epoch: int, step: int) -> None:
        self._now = (epoch, step)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        found = super().loss(phase, networks, batch)
        is_sick = self._now == (self._sick_epoch, 7 * self._sick_epoch + 3)
        return replace(found, value=found.value * float("nan")) if is_sick else found


@pytest.mark.parametrize("action", ["stop", "skip", "rollback"])
def test_a_member_that_is_not_finite_harms_no_other(tmp_path: Path, action: str) -> None:
    healthy = members(tmp_path / "healthy", 3)
    mixed = members(tmp_path / "mixed", 3)
    for runs, task in ((healthy, None), (mixed, _Sick(1))):
        if task is not None:
            runs[1].task = task
            runs[1].hooks = RecoveryHooks(NonfinitePolicy(action, 1))
    outcomes, _ = together(mixed)
    together(healthy)
    for number in (0, 2):
        assert differences(healthy[number].state.state_dict(), mixed[number].state.state_dict()) == []
    sick = Run(tmp_path / "sick", **{**_settings(mixed[1]), "task": _Sick(1)})
    sick.state.average = Ema(sick.networks, 0.9)
    if action == "skip":
        sick.fit()
        assert outcomes[1].result == "all 3 epochs done" and mixed[1].state.nonfinite.skipped == 1
        assert furthest(sick, mixed[1]) < TOLERANCE
    else:
        with pytest.raises(Diverged) as alone:
            sick.fit()
        assert isinstance(outcomes[1].error, Diverged) and str(outcomes[1].error) == str(alone.value)


def _settings(run: Run) -> dict[str, Any]:
    names = ("seed", "scheduler", "epochs", "clip_norm", "make_optimizer", "hooks")
    return {name: getattr(run, name) for name in names}


def test_dropout_may_differ_and_layers_may_not(tmp_path: Path) -> None:
    runs = members(tmp_path, 4)
    layer(runs[1], 3).p = 0.1
    layer(runs[2], 1).momentum = 0.2
    alone = Run(tmp_path / "alone", **_settings(runs[1]))
    alone.state.average = Ema(alone.networks, 0.9)
    layer(alone, 3).p = 0.1
    outcomes, plan = together(runs)
    assert plan.stacks == ((0, 1, 3),)
    assert [number for number, _ in plan.alone] == [2] and "same shapes" in plan.alone[0][1]
    assert all(outcome.result for outcome in outcomes)
    alone.fit()
    assert furthest(alone, runs[1]) < TOLERANCE


def layer(run: Run, number: int) -> Any:
    """A layer of the network of a run."""
    return cast(nn.Sequential, run.networks["model"])[number]


class _Noisy(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + 0.1 * torch.rand_like(inputs)


class _Deciding(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if float(inputs.detach().sum()) > 0 else -inputs


@pytest.mark.parametrize(("kind", "reason"), [(_Noisy, "random"), (_Deciding, "cannot be stacked")])
def test_what_cannot_be_stacked_is_told_and_trained_alone(tmp_path: Path, kind: type[nn.Module], reason: str) -> None:
    def build(folder: Path) -> list[Run]:
        runs = members(folder, 2)
        for run in runs:
            cast(nn.Sequential, run.networks["model"]).append(kind())
        return runs

    alone, runs = build(tmp_path / "alone"), build(tmp_path / "stacked")
    for run in alone:
        run.fit()
    _, plan = together(runs)
    assert not plan.stacks and [number for number, _ in plan.alone] == [0, 1]
    assert all(reason in told for _, told in plan.alone)
    for one, other in zip(alone, runs, strict=True):
        assert differences(one.state.state_dict(), other.state.state_dict()) == []


class _Tired(nn.Module):
    """After some passes a stack cannot take it any more."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.passes_left = passes

    def forward(self, inputs: Tensor) -> Tensor:
        self.passes_left -= self.training
        return inputs if self.passes_left > 0 or float(inputs.detach().sum()) > -1e9 else -inputs


def test_a_stack_that_breaks_while_it_trains_leaves_its_members_to_themselves(tmp_path: Path) -> None:
    def build(folder: Path) -> list[Run]:
        runs = members(folder, 3)
        for run in runs:
            cast(nn.Sequential, run.networks["model"]).append(_Tired(12))
        return runs

    alone, runs = build(tmp_path / "alone"), build(tmp_path / "stacked")
    reasons = [run.fit() for run in alone]
    broken: list[tuple[list[int], str]] = []
    outcomes, plan = together(runs, on_break=lambda numbers, reason: broken.append((list(numbers), reason)))
    assert plan.stacks == ((0, 1, 2),)
    assert [numbers for numbers, _ in broken] == [[0, 1, 2]] and "cannot be stacked" in broken[0][1]
    assert [outcome.result for outcome in outcomes] == reasons
    for one, other in zip(alone, runs, strict=True):
        assert furthest(one, other) < TOLERANCE
        assert len(one.rows) == len(other.rows) == one.epochs


def test_a_trial_changes_nothing(tmp_path: Path) -> None:
    from dlexp.engine.stacking import lockstep

    runs = members(tmp_path, 2)
    courses = [run.course() for run in runs]
    updates: list[Update] = [next(course) for course in courses]
    before = [{name: value.clone() for name, value in run.networks.state_dict().items()} for run in runs]
    _, problem = lockstep._tried(updates)
    assert problem == ""
    for run, kept in zip(runs, before, strict=True):
        assert differences(kept, dict(run.networks.state_dict())) == []
        assert all(parameter.grad is None for parameter in run.networks.parameters())
    for course in courses:
        course.close()


def test_rows_of_a_stack_keep_the_order_of_memory() -> None:
    networks = [nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last) for _ in range(3)]
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    strides = networks[0].weight.stride()
    StackedNetwork(networks).bind()
    for network, kept in zip(networks, before, strict=True):
        assert network.weight.stride() == strides
        assert differences(kept, dict(network.state_dict())) == []
