"""What is frozen, until when, and what that does to training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from refusals import refused
from torch import nn

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.step import train_step
from dlexp.errors import ConfigError
from dlexp.optim.freezing import freezing
from dlexp.optim.schedules.smooth import constant, cosine, plateau
from dlexp.optim.schedules.swa import SwaSchedule

CNN = ("model=simple_cnn", "model.channels=[4,4]", "model.fc=8", "trainer.device=cpu", "data.batch_size=256")


def networks() -> nn.ModuleDict:
    trunk = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False)
    )
    model = nn.Module()
    model.trunk, model.head = trunk, nn.Linear(4, 2)
    return nn.ModuleDict({"model": model})


ALL = [f"model.{name}" for name in ("trunk.0.weight", "trunk.0.bias", "trunk.1.weight", "trunk.1.bias",
                                    "trunk.3.weight", "trunk.3.bias", "head.weight", "head.bias")]  # fmt: skip


def learning(nets: nn.ModuleDict) -> list[str]:
    return [name for name, parameter in nets.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        ((), []),
        (("trunk",), ALL[:6]),
        (("trunk.*",), ALL[:6]),
        (("*", "!head"), ALL[:6]),
        (("*.weight",), [ALL[0], ALL[2], ALL[4], ALL[6]]),
        (("trunk", "!trunk.3", "trunk.3.bias"), [*ALL[:4], ALL[5]]),
        (("trunk.[01]",), ALL[:4]),
    ],
)
def test_patterns_freeze_and_free(patterns: tuple[str, ...], frozen: list[str]) -> None:
    assert dict(freezing(networks(), patterns).until) == dict.fromkeys(frozen)


@pytest.mark.parametrize(("layers", "frozen"), [(1, ALL[:4]), (2, ALL[:6]), (-1, ALL[:6]), (-2, ALL[:4])])
def test_layers_are_counted_from_the_first_or_from_the_last(layers: int, frozen: list[str]) -> None:
    assert dict(freezing(networks(), num_layers=layers).until) == dict.fromkeys(frozen)


def test_a_pattern_that_matches_nothing_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        freezing(networks(), ("truck",))
    refused(error.value, "not-found", "trainer.freeze", "trunk")
    assert "truck" in str(error.value)
    with pytest.raises(ConfigError, match="hed") as error:
        freezing(networks(), ("*", "!hed"))
    refused(error.value, "not-found", "trainer.freeze")


@pytest.mark.parametrize("layers", [3, -3, 9, -9])
def test_a_depth_that_leaves_nothing_or_everything_is_refused(layers: int) -> None:
    with pytest.raises(ConfigError) as error:
        freezing(networks(), num_layers=layers)
    refused(error.value, "out-of-range", "trainer.freeze_layers", "1 to 2")


def test_a_model_that_is_all_frozen_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        freezing(networks(), ("*",))
    refused(error.value, "invalid-value", "trainer.freeze", "!PART")
    assert set(freezing(networks(), ("*",), begin=2).until.values()) == {2}


def test_all_at_once_or_one_layer_after_the_other_the_last_first() -> None:
    nets = networks()
    at_once = freezing(nets, num_layers=-1, begin=3)
    assert set(at_once.until.values()) == {3}
    gradual = freezing(nets, num_layers=-1, begin=3, every=2)
    assert dict(gradual.until) == dict.fromkeys(ALL[:4], 5) | dict.fromkeys(ALL[4:6], 3)
    for epoch, expected in ((1, ALL[6:]), (2, ALL[6:]), (3, ALL[4:]), (4, ALL[4:]), (5, ALL)):
        gradual.apply(nets, epoch)
        assert learning(nets) == expected
    gradual.apply(nets, 1)  # an epoch that was begun anew, or a run that was rewound
    assert learning(nets) == ALL[6:]


@pytest.mark.parametrize(
    ("patterns", "modes"),
    [
        (("trunk",), [False, False]),
        (("trunk.0", "trunk.1"), [False, True]),  # one without parameters goes with those before it
        (("trunk.1.bias",), [True, True]),  # its weight learns
        ((), [True, True]),
    ],
)
def test_frozen_norms_are_in_evaluation_mode(patterns: tuple[str, ...], modes: list[bool]) -> None:
    nets = networks()
    trunk = nets["model"].trunk
    assert isinstance(trunk, nn.Sequential)
    nets.eval()
    freezing(nets, patterns, begin=9).apply(nets, 1)
    assert [trunk[1].training, trunk[4].training] == modes
    assert trunk[2].training


def started(*words: str) -> Any:
    experiment = assemble(load([*CNN, *words], Catalog()))
    return experiment, prepare_training(experiment)


@pytest.mark.parametrize("optim", ["sgd", "adamw"])
def test_what_is_frozen_stays_to_the_bit_and_is_in_no_optimizer(optim: str) -> None:
    experiment, run = started(f"optim={optim}", "trainer.freeze_layers=-1", "optim.weight_decay=0.5")
    state = run.state
    held = {id(p) for group in state.optimizers["train"].param_groups for p in group["params"]}
    names = experiment.freezing.until
    assert names
    assert held == {id(p) for name, p in experiment.networks.named_parameters() if name not in names}
    assert experiment.num_parameters == 8 * 10 + 10
    before = copy.deepcopy(experiment.networks.state_dict())
    state.train_mode()
    for batch in list(run.batches.epoch(0))[:2]:
        train_step(experiment.task, state, [batch], run.rules)
    after = experiment.networks.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name, _ in experiment.networks.named_parameters() if name not in names}


def test_what_thaws_is_in_the_optimizer_and_stands_still_until_then() -> None:
    experiment, run = started("trainer.freeze_layers=-1", "trainer.unfreeze_epoch=2", "optim.weight_decay=0.5")
    state = run.state
    held = {id(p) for group in state.optimizers["train"].param_groups for p in group["params"]}
    assert held == {id(p) for p in experiment.networks.parameters()}
    before = copy.deepcopy(experiment.networks.state_dict())
    batch = next(run.batches.epoch(0))
    for epoch, moves in ((0, False), (1, True)):
        state.epoch = epoch
        state.train_mode()
        train_step(experiment.task, state, [batch], run.rules)
        for name in experiment.freezing.until:
            assert torch.equal(before[name], experiment.networks.state_dict()[name]) != moves


def test_groups_with_rates_of_their_own_go_together_with_freezing() -> None:
    words = ("optim.groups=[{match: '*.weight', lr_factor: 0.1}]", "trainer.freeze_layers=1")
    experiment, run = started(*words)
    groups = run.state.optimizers["train"].param_groups
    frozen = {id(p) for name, p in experiment.networks.named_parameters() if name in experiment.freezing.until}
    assert frozen
    assert not frozen & {id(p) for group in groups for p in group["params"]}
    assert {round(group["initial_lr"] / groups[0]["initial_lr"], 3) for group in groups} == {1.0, 0.1}


def test_a_schedule_is_held_from_an_update_on_and_goes_on_from_its_state() -> None:
    def fresh() -> tuple[torch.optim.Optimizer, SwaSchedule]:
        groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.4, 0.1)]
        optimizer = torch.optim.SGD(groups, lr=0.4)
        inner = cosine(optimizer=optimizer, total_steps=10, steps_per_epoch=5)
        return optimizer, SwaSchedule(inner, optimizer, 6, 0.02)

    def rates(optimizer: torch.optim.Optimizer, schedule: SwaSchedule, count: int) -> list[tuple[float, float]]:
        found = []
        for _ in range(count):
            found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"]))
            schedule.step()
        schedule.epoch_end(1.0)
        return found

    optimizer, schedule = fresh()
    whole = rates(optimizer, schedule, 10)
    other = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    free = cosine(optimizer=other, total_steps=10, steps_per_epoch=5)
    for number, (first, second) in enumerate(whole):
        assert first == pytest.approx(0.02 if number >= 6 else other.param_groups[0]["lr"])
        assert second == pytest.approx(first / 4)
        free.step()
    for at in (3, 6, 8):
        optimizer, schedule = fresh()
        rates(optimizer, schedule, at)
        saved = (copy.deepcopy(optimizer.state_dict()), copy.deepcopy(schedule.state_dict()))
        optimizer, schedule = fresh()
        optimizer.load_state_dict(saved[0])
        schedule.load_state_dict(saved[1])
        assert rates(optimizer, schedule, 10 - at) == whole[at:]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    SwaSchedule(constant(optimizer=optimizer, total_steps=10, steps_per_epoch=5), optimizer, 0, 0.3)
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_a_swa_schedule_follows_a_metric_where_the_one_before_it_does() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    fixed = constant(optimizer=optimizer, total_steps=10, steps_per_epoch=5)
    watching = plateau(optimizer=optimizer, total_steps=10, steps_per_epoch=5, maximize=False)
    assert SwaSchedule(watching, optimizer, 5, 0.1).follows_a_metric
    assert not SwaSchedule(fixed, optimizer, 5, 0.1).follows_a_metric
