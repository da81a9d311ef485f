"""Every optimizer with every schedule, as conf/ has them: they step, learn, and go on to the bit from the middle."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from combinations import some_of, spread
from refusals import refused
from torch import Tensor, nn

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import build
from dlexp.config.schema.run import OWN_KEYS, Node, RunConfig
from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules, train_step
from dlexp.errors import ConfigError
from dlexp.losses.regression import MSE
from dlexp.networks.layers import hidden_matrices
from dlexp.optim.parameter_groups import parameter_groups, parameter_shares
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import generator, seed_global
from dlexp.runtime.tensors import snapshot
from dlexp.specs import DataSpec, TableSpec, ValueSpec
from dlexp.tasks.regression import Regression
from dlexp.types import Batch

CATALOG = Catalog(())
OPTIMS, SCHEDULERS = tuple(CATALOG.options("optim")), tuple(CATALOG.options("scheduler"))
PER_EPOCH, EPOCHS = 4, 3
STEPS = PER_EPOCH * EPOCHS
FP32 = Precision("fp32", "cpu", "")
SPEC = DataSpec(TableSpec(3), ValueSpec(("y",), (0.0,), (1.0,)))
# Schedules that turn a momentum, and the optimizers that have none which may be turned.
TURNING = ("cyclic", "onecycle")
WITHOUT_MOMENTUM = {
    *("adadelta", "adafactor", "adagrad", "lbfgs", "rmsprop", "schedule_free_adamw"),
    *("numpy_sgd", "numpy_adagrad", "numpy_rmsprop"),
}
# Lengths in epochs that show within three of them.
SHORT: dict[str, dict[str, Any]] = {
    "cosine_restarts": {"period": 1},
    "cyclic": {"rise": 0.5, "fall": 0.75},
    "multistep": {"milestones": [1, 2]},
    "plateau": {"patience": 0},
    "step": {"step_size": 1},
}


@cache
def composed(word: str) -> RunConfig:
    return load([word, "data=diabetes"], CATALOG)


def keys_of(group: str, option: str) -> list[str]:
    """The keys that reach an option's target, read without composing anything."""
    return [key for key in CATALOG.keys(group, option) if key not in OWN_KEYS.get(group, ())]


def changed(node: Node, values: dict[str, Any]) -> Node:
    return Node(node.group, node.option, node.target, {**node.arguments, **values})


def network() -> nn.Module:
    """Two hidden matrices, biases, a normalization with running statistics and dropout."""
    seed_global(5, "init")
    hidden = [nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 8), nn.Tanh()]
    return nn.Sequential(*hidden, nn.Linear(8, 1))


def make(
    optim: str, scheduler: str, values: dict[str, Any] | None = None, own: dict[str, Any] | None = None
) -> TrainState:
    """A state at its beginning. `values` are keys of the optimizer's target, `own` those that dlexp reads."""
    config, model = composed(f"optim={optim}"), network()
    node = changed(config.optim, values or {})
    own = {"decay_norms_and_biases": False, "layer_decay": None, "groups": (), **(own or {})}
    given = parameter_shares({"model": model}, own["layer_decay"], own["groups"])
    params = parameter_groups([model], own["decay_norms_and_biases"], given, node.arguments["lr"])
    optimizer = build(node, {"params": params, "hidden_matrices": hidden_matrices([model])}, ())
    runtime = {"optimizer": optimizer, "total_steps": STEPS, "steps_per_epoch": PER_EPOCH, "maximize": False}
    schedule = build(scheduler_node(optim, scheduler), runtime, ())
    networks = nn.ModuleDict({"model": model})
    return TrainState(networks, {"train": optimizer}, {"train": schedule}, FP32.scaler(), BestSoFar(False))


def scheduler_node(optim: str, scheduler: str) -> Node:
    values = dict(SHORT.get(scheduler, {}))
    if scheduler in TURNING and optim in WITHOUT_MOMENTUM:
        values["cycle_momentum"] = False
    return changed(composed(f"scheduler={scheduler}").scheduler, values)


def batch(number: int) -> Batch:
    rng = generator(0, "contract", number)
    inputs = torch.randn(16, 3, generator=rng)
    targets = inputs.sum(1, keepdim=True) + 0.1 * torch.randn(16, 1, generator=rng)
    return Batch(inputs, targets, torch.arange(16))


def go_on(state: TrainState, last: int = STEPS) -> list[float]:
    """Update to number `last`, with ends of epochs; the loss of each update."""
    task = Regression(spec=SPEC, loss=MSE())
    rules = StepRules(FP32, Penalty(0.0, 0.0), None, 3, check_every_step=True)
    losses = []
    state.networks.train()
    while state.step < last:
        before = state.sums.means().get("loss", 0.0) * state.sums.count
        train_step(task, state, [batch(state.step)], rules)
        losses.append((state.sums.means()["loss"] * state.sums.count - before) / 16)
        if state.batch == PER_EPOCH:
            for schedule in state.schedules.values():
                schedule.epoch_end(1.0)
            state.finish_epoch()
    return losses


def weights(state: TrainState) -> list[Tensor]:
    return [p.detach().clone() for p in state.networks.parameters()]


def equal(left: Any, right: Any) -> bool:
    """Whether two states are the same to the bit."""
    if isinstance(left, Tensor):
        return isinstance(right, Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def test_every_option_was_seen() -> None:
    assert (len(OPTIMS), len(SCHEDULERS)) == (23, 13)


def test_every_key_was_seen() -> None:
    for optim in OPTIMS:
        assert set(composed(f"optim={optim}").optim.arguments) == set(keys_of("optim", optim))
    for scheduler in SCHEDULERS:
        assert set(composed(f"scheduler={scheduler}").scheduler.arguments) == set(keys_of("scheduler", scheduler))


@pytest.mark.parametrize(
    ("optim", "scheduler"), some_of(product(OPTIMS, SCHEDULERS), spread(OPTIMS, SCHEDULERS, meetings=3))
)
def test_resume_is_bit_exact(optim: str, scheduler: str) -> None:
    whole = make(optim, scheduler)
    start = weights(whole)
    go_on(whole, 6)  # within the second epoch
    saved = snapshot(whole.state_dict())
    go_on(whole)
    resumed = make(optim, scheduler)
    resumed.load_state_dict(saved)
    go_on(resumed)
    assert equal(resumed.state_dict(), whole.state_dict())
    moved = [not torch.equal(before, after) for before, after in zip(start, weights(whole), strict=True)]
    assert all(moved)
    assert all(bool(torch.isfinite(value).all()) for value in weights(whole))


@pytest.mark.parametrize("optim", OPTIMS)
def test_it_learns(optim: str) -> None:
    losses = go_on(make(optim, "constant"), 40)
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


@pytest.mark.parametrize("scheduler", TURNING)
@pytest.mark.parametrize("optim", OPTIMS)
def test_a_schedule_that_turns_the_momentum_refuses_an_optimizer_without(optim: str, scheduler: str) -> None:
    model = network()
    parts = {"params": parameter_groups([model], False), "hidden_matrices": hidden_matrices([model])}
    optimizer = build(composed(f"optim={optim}").optim, parts, ())
    runtime = {"optimizer": optimizer, "total_steps": STEPS, "steps_per_epoch": PER_EPOCH}
    node = composed(f"scheduler={scheduler}").scheduler
    if optim not in WITHOUT_MOMENTUM:
        build(node, runtime, ())
        return
    with pytest.raises(ConfigError, match=r"scheduler\.cycle_momentum=false") as caught:
        build(node, runtime, ())
    refused(caught.value, "invalid-value", "scheduler")


# A value for each key that is not the default, and beside it what must be set for it to count.
OTHER: dict[str, Any] = {
    "lr": 0.5, "weight_decay": 0.3, "momentum": 0.5, "dampening": 0.5, "betas": [0.5, 0.9], "eps": 1e-2,
    "momentum_decay": 0.5, "alpha": 0.5, "lr_decay": 0.5, "initial_accumulator_value": 0.5, "rho": 0.5,
    "beta2_decay": -0.3, "d": 5.0, "ns_steps": 2, "adjust_lr": "original", "adamw_lr_factor": 0.3,
    "adamw_betas": [0.5, 0.9], "max_iter": 2, "history_size": 1, "tolerance_grad": 1e3, "tolerance_change": 1e3,
    "r": 2.0, "weight_lr_power": 0.0, "radius": 0.5, "sync_every": 2, "slow_step": 0.9,
}  # fmt: skip
OTHER_OF = {("sam", "base"): "adamw", ("lookahead", "base"): "sgd"}
BESIDE: dict[str, dict[str, Any]] = {"decoupled_weight_decay": {"weight_decay": 0.3}}
KERNELS = ("fused", "foreach")  # other code for the same numbers
TARGET_KEYS = [(optim, key) for optim in OPTIMS for key in keys_of("optim", optim)]


@pytest.mark.parametrize(("optim", "key"), [pair for pair in TARGET_KEYS if pair[1] not in KERNELS])
def test_every_key_changes_the_weights(optim: str, key: str) -> None:
    default, beside = composed(f"optim={optim}").optim.arguments[key], BESIDE.get(key, {})
    other = not default if isinstance(default, bool) else OTHER_OF.get((optim, key), OTHER.get(key))
    assert other != default
    one, two = make(optim, "noam", beside), make(optim, "noam", {**beside, key: other})
    go_on(one)
    go_on(two)
    assert not all(map(torch.equal, weights(one), weights(two)))


@pytest.mark.parametrize(("optim", "key"), [pair for pair in TARGET_KEYS if pair[1] in KERNELS])
def test_every_choice_of_a_kernel_reaches_torch(optim: str, key: str) -> None:
    assert all(group[key] for group in make(optim, "constant").optimizers["train"].param_groups)
    assert not any(group[key] for group in make(optim, "constant", {key: False}).optimizers["train"].param_groups)


OWN: dict[str, dict[str, Any]] = {
    "decay_norms_and_biases": {"decay_norms_and_biases": True},
    "layer_decay": {"layer_decay": 0.5},
    "groups": {"groups": ({"match": "4", "lr_factor": 3.0},)},
}


@pytest.mark.parametrize("key", OWN)
@pytest.mark.parametrize("optim", OPTIMS)
def test_keys_of_dlexp_change_the_weights_of_every_optimizer(optim: str, key: str) -> None:
    decay = {"weight_decay": 0.3} if "weight_decay" in composed(f"optim={optim}").optim.arguments else {}
    if optim == "lbfgs":
        if key != "decay_norms_and_biases":  # and without a decay there is none to spare anything
            with pytest.raises(ConfigError, match=r"optim\.layer_decay") as caught:
                make(optim, "constant", decay, OWN[key])
            refused(caught.value, "invalid-value", "optim")
        return
    one, two = make(optim, "constant", decay), make(optim, "constant", decay, OWN[key])
    go_on(one)
    go_on(two)
    assert not all(map(torch.equal, weights(one), weights(two)))


OTHER_RATES: dict[str, Any] = {
    "warmup_epochs": 2.0, "warmup_steps": 5, "min_factor": 0.3, "gamma": 0.7, "unit": "steps", "step_size": 2,
    "milestones": [1], "power": 0.5, "decay_share": 0.7, "decay_shape": "linear", "period": 2, "period_factor": 1,
    "base_factor": 0.5, "rise": 1.0, "fall": 1.5, "mode": "triangular2", "max_factor": 0.5, "pct_start": 0.6,
    "div_factor": 3.0, "final_div_factor": 10.0, "factor": 0.3, "patience": 1, "min_lr": 5e-3, "threshold": 0.5,
}  # fmt: skip
BESIDE_RATES: dict[tuple[str, str], dict[str, Any]] = {
    ("cyclic", "gamma"): {"mode": "exp_range"},
    ("cyclic", "unit"): {"rise": 2, "fall": 3},
}
RATE_KEYS = [(scheduler, key) for scheduler in SCHEDULERS for key in keys_of("scheduler", scheduler)]


def course(scheduler: str, values: dict[str, Any]) -> list[tuple[float, float]]:
    """(rate, momentum) of each update, while the metric improves by less and less."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01, momentum=0.9)
    runtime = {"optimizer": optimizer, "total_steps": STEPS, "steps_per_epoch": PER_EPOCH, "maximize": False}
    node = changed(composed(f"scheduler={scheduler}").scheduler, {**SHORT.get(scheduler, {}), **values})
    schedule = build(node, runtime, ())
    found = []
    for number in range(1, 3 * STEPS + 1):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        if number <= STEPS or scheduler == "plateau":
            schedule.step()
        if number % PER_EPOCH == 0:
            schedule.epoch_end(1.0 / min(number, 24))
    return found


@pytest.mark.parametrize(("scheduler", "key"), RATE_KEYS)
def test_every_key_changes_the_course(scheduler: str, key: str) -> None:
    beside = BESIDE_RATES.get((scheduler, key), {})
    default = composed(f"scheduler={scheduler}").scheduler.arguments[key]
    other = not default if isinstance(default, bool) else OTHER_RATES[key]
    assert course(scheduler, beside) != course(scheduler, {**beside, key: other})
