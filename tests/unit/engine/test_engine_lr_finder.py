from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_toys import BATCHES, FP32, AskedStop, Run, differences, rules, state_of, values_batch, values_task
from torch import Tensor, nn

from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.lr_finder.suggestion import read
from dlexp.engine.lr_finder.sweep import Sweep, SweepPlan, SweepPoint, run_sweep
from dlexp.engine.state import TrainState
from dlexp.engine.step import train_step
from dlexp.errors import ConfigError, DlexpError, Interrupted
from dlexp.metrics.states import MetricState
from dlexp.optim.schedules.smooth import constant, onecycle
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import global_state, kept_randomness
from dlexp.runtime.signals import NeverStop
from dlexp.tasks.base import Networks, Phase, Task
from dlexp.types import Batch, LossOutput, Prediction, TrainingData, as_tensor

CPU = torch.device("cpu")


@dataclass
class Repeated:
    """The same few batches in every epoch."""

    batches: list[Batch]
    epochs_asked: int = 0

    @property
    def num_samples(self) -> int:
        return sum(map(len, self.batches))

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        self.epochs_asked += 1
        assert epoch == self.epochs_asked - 1
        yield from self.batches[first_batch:]


class Wrapped(Task):
    """Another task whose loss goes through a function of it and of how many losses there were."""

    def __init__(self, task: Task, change: Callable[[Tensor, int], Tensor]) -> None:
        self.task, self.change, self.calls = task, change, 0
        vars(self)["phases"] = task.phases  # the wrapped task's, in place of the class's

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        self.calls += 1
        random.random()
        np.random.random()
        return LossOutput(self.change(self.task.loss(phase, networks, batch).value, self.calls))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        return self.task.predict(networks, batch)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        return self.task.metric_state()


def linear_state(lr: float = 0.1, precision: Precision = FP32, seed: int = 0) -> TrainState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    return state_of(model, torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9), precision)


def plan_of(task: Task | None = None, train: TrainingData | None = None, **changes: Any) -> SweepPlan:
    if train is None:
        train = Repeated([values_batch(16, torch.float32, 16 * number) for number in range(3)])
    return replace(SweepPlan(task or values_task(), train, rules(), 1, 1e-5, 10.0, 60), **changes)


def run_and_plan(tmp_path: Any, **changes: Any) -> tuple[Run, SweepPlan]:
    """A run with normalization, dropout, momentum and two parameter groups, in the middle of training."""
    run = Run(tmp_path)
    data = TrainBatches(run.bundle, 4, run.seed, CPU)
    for batch in data.epoch(0):
        train_step(run.task, run.state, [batch], rules())
    next(run.state.networks["model"].children()).eval()
    return run, replace(SweepPlan(run.task, data, rules(Penalty(0.0, 1e-4), 1.0), 1, 1e-5, 10.0, 50), **changes)


def generators() -> dict[str, Any]:
    return {"torch": torch.get_rng_state(), **global_state()}


def everything(state: TrainState) -> dict[str, Any]:
    """All that a sweep could leave a trace in."""
    return copy.deepcopy(
        {
            "state": state.state_dict(),
            "modes": [module.training for module in state.networks.modules()],
            "gradients": [p.grad for p in state.networks.parameters()],
            "rates": [dict(g, params=None) for o in state.optimizers.values() for g in o.param_groups],
            "sums": (state.sums.count, dict(state.sums.sums)),
            "generators": generators(),
        }
    )


def test_a_sweep_leaves_no_trace(tmp_path: Any) -> None:
    run, plan = run_and_plan(tmp_path, task=Wrapped(Run(tmp_path).task, lambda value, call: value))
    before, task_before = everything(run.state), copy.deepcopy(vars(plan.task) | {"task": None})
    found = run_sweep(plan, run.state, NeverStop())
    assert len(found.points) >= 40
    assert differences(before, everything(run.state)) == []
    assert vars(plan.task) | {"task": None, "change": None} == task_before | {"change": None}


def broken(error: BaseException) -> Callable[[Tensor, int], Tensor]:
    def change(value: Tensor, call: int) -> Tensor:
        if call == 12:
            raise error
        return value

    return change


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt(), SystemExit(3)])
def test_a_sweep_that_breaks_leaves_no_trace(tmp_path: Any, error: BaseException) -> None:
    run, plan = run_and_plan(tmp_path)
    plan = replace(plan, task=Wrapped(plan.task, broken(error)))
    before = everything(run.state)
    with pytest.raises(type(error)):
        run_sweep(plan, run.state, NeverStop())
    assert differences(before, everything(run.state)) == []


def test_a_signal_ends_the_sweep_after_the_update_and_leaves_no_trace(tmp_path: Any) -> None:
    run, plan = run_and_plan(tmp_path)
    stop = AskedStop()
    numbers: list[int] = []

    def observe(number: int, point: SweepPoint) -> None:
        numbers.append(number)
        if number == 5:
            stop.ask()

    before = everything(run.state)
    with pytest.raises(Interrupted, match="SIGTERM received; the sweep was dropped, nothing was changed") as caught:
        run_sweep(replace(plan, on_point=observe), run.state, stop)
    assert caught.value.exit_code == 75
    assert numbers == [1, 2, 3, 4, 5]
    assert differences(before, everything(run.state)) == []


def test_training_is_the_same_with_and_without_a_sweep_before_it(tmp_path: Any) -> None:
    alone, after = Run(tmp_path / "alone"), Run(tmp_path / "after")
    run_sweep(
        SweepPlan(after.task, TrainBatches(after.bundle, 4, 3, CPU), rules(), 1, 1e-5, 10, 40), after.state, NeverStop()
    )
    alone.fit()
    after.fit()
    assert differences(alone.state.state_dict(), after.state.state_dict()) == []
    assert alone.rows == after.rows


def test_nan_at_update_thirty_ends_the_sweep_and_leaves_a_trace_nowhere(tmp_path: Any) -> None:
    run, plan = run_and_plan(tmp_path)
    nan = Wrapped(plan.task, lambda value, call: value if call <= 30 else value * float("nan"))
    before = everything(run.state)
    found = run_sweep(replace(plan, task=nan), run.state, NeverStop())
    assert len(found.points) == 30
    assert found.diverged
    assert found.reason == f"diverged at lr={plan.rate(30):.3g}: the loss was not finite"
    assert np.isfinite(found.y).all()
    assert differences(before, everything(run.state)) == []


def test_the_suggestion_after_nan_uses_the_points_before_it() -> None:
    nan = Wrapped(values_task(), lambda value, call: value if call <= 50 else value + float("inf"))
    found = run_sweep(plan_of(nan), linear_state(), NeverStop())
    assert len(found.points) == 50
    suggested = read(found.x, found.y, found.diverged).suggested
    assert suggested is not None
    assert -5 < suggested < found.x[-1]


def test_points_are_evenly_spaced_from_the_lowest_rate_to_the_highest() -> None:
    never = Wrapped(values_task(), lambda value, call: value * 0 + 1)
    found = run_sweep(plan_of(never, min_lr=1e-4, max_lr=1e-1, steps=31), linear_state(), NeverStop())
    np.testing.assert_allclose(found.x, np.linspace(-4, -1, 31), atol=1e-12)
    assert found.reason == "swept to lr=0.1"
    assert not found.diverged


def test_a_point_is_the_loss_that_the_update_of_that_rate_began_with() -> None:
    data = Repeated([values_batch(16, torch.float32)])
    plan = plan_of(train=data, steps=20, max_lr=0.1)
    found = run_sweep(plan, linear_state(), NeverStop())
    state = linear_state()
    for number, point in enumerate(found.points):
        state.sums = type(state.sums)()
        for group in state.optimizers["train"].param_groups:
            group["lr"] = plan.rate(number)
        train_step(values_task(), state, data.batches, rules())
        state.batch = 0
        state.epoch += 1
        assert point.loss == pytest.approx(state.sums.means()["loss"], rel=1e-6)


def test_data_shorter_than_the_sweep_goes_round() -> None:
    data = Repeated([values_batch(8, torch.float32), values_batch(3, torch.float32, 8)])
    found = run_sweep(plan_of(train=data, max_lr=0.01), linear_state(), NeverStop())
    assert len(found.points) == 60
    assert data.epochs_asked == 30


def test_data_without_a_batch_is_refused() -> None:
    with pytest.raises(DlexpError, match="no batch"):
        run_sweep(plan_of(train=Repeated([])), linear_state(), NeverStop())


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_rate_rises_once_an_update_whatever_it_accumulates(tmp_path: Any, accumulate: int) -> None:
    run = Run(tmp_path)
    calls: list[int] = []

    def noted(value: Tensor, call: int) -> Tensor:
        calls.append(call)
        return value

    counted = Wrapped(run.task, noted)
    data = TrainBatches(run.bundle, 4, run.seed, CPU)
    plan = SweepPlan(counted, data, rules(), accumulate, 1e-6, 1e-3, 40)
    found = run_sweep(plan, run.state, NeverStop())
    assert len(found.points) == 40
    assert len({point.rate for point in found.points}) == 40
    whole, rest = divmod(40, -(-BATCHES // accumulate))
    assert len(calls) == whole * BATCHES + rest * accumulate


def scaled(precision: str = "fp16", overflows: Callable[[int], bool] = lambda call: call in (3, 4, 9)) -> Sweep:
    """A sweep in fp16, some of whose gradients overflow while their loss is finite."""
    state = linear_state(precision=Precision(precision, "cpu", ""))

    class Overflow(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Tensor) -> Tensor:
            return value.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient * float("inf")

    task = Wrapped(
        values_task(),
        lambda value, call: Overflow.apply(value) if overflows(call) else value,
    )
    return run_sweep(plan_of(task, max_lr=1e-2, steps=20), state, NeverStop())


def test_an_update_that_the_scaler_skips_is_no_point() -> None:
    found = scaled()
    assert len(found.points) == 20
    np.testing.assert_allclose(found.x, np.linspace(-5, -2, 20), atol=1e-12)
    assert [(number, point.skipped) for number, point in enumerate(found.points) if point.skipped] == [(2, 2), (6, 1)]
    assert all(np.isfinite(point.grad_norm) for point in found.points)


def test_a_gradient_that_overflows_for_ever_ends_the_sweep() -> None:
    found = scaled(overflows=lambda call: call > 5)
    assert len(found.points) == 5
    assert found.reason.endswith("the gradient overflows fp16 at every scale")
    assert found.diverged


def test_ratios_between_parameter_groups_stay() -> None:
    state = linear_state()
    model = state.networks["model"]
    assert isinstance(model, nn.Sequential)
    parts = [{"params": model[0].parameters(), "lr": 0.02}, {"params": model[2].parameters(), "lr": 0.1}]
    state.optimizers["train"] = torch.optim.SGD(parts)
    rates: list[list[float]] = []

    class Spy(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    state.optimizers["train"].__class__ = Spy
    found = run_sweep(plan_of(), state, NeverStop())
    assert dict(found.groups) == pytest.approx({"train.0": 1.0, "train.1": 5.0})
    assert [first for first, _ in rates[: len(found.points)]] == [point.rate for point in found.points]
    np.testing.assert_allclose([second / first for first, second in rates], 5.0)


def test_a_schedule_does_not_move_the_rates_of_the_sweep() -> None:
    plain, scheduled = linear_state(), linear_state()
    scheduled.schedules["train"] = onecycle(
        optimizer=scheduled.optimizers["train"], total_steps=50, cycle_momentum=False, div_factor=7.0
    )
    warm = linear_state()
    warm.schedules["train"] = constant(
        optimizer=warm.optimizers["train"], total_steps=100, steps_per_epoch=10, warmup_steps=20
    )
    found = [run_sweep(plan_of(), state, NeverStop()) for state in (plain, scheduled, warm)]
    assert found[0].points == found[1].points == found[2].points


def test_a_rate_of_zero_cannot_be_multiplied() -> None:
    with pytest.raises(DlexpError, match="must be above 0, got 0"):
        run_sweep(plan_of(), linear_state(lr=0.0), NeverStop())


def test_what_cannot_be_copied_is_told() -> None:
    state = linear_state()
    state.networks["model"].lock = __import__("threading").Lock()
    with pytest.raises(DlexpError, match="can be copied"):
        run_sweep(plan_of(), state, NeverStop())


@pytest.mark.parametrize("change", [lambda v: v, lambda v: v - 50, lambda v: 1e4 * v, lambda v: 1e-3 * v - 7])
def test_neither_scale_nor_sign_of_the_loss_ends_a_sweep_early(change: Callable[[Tensor], Tensor]) -> None:
    """Rates are divided by the scale, so that every sweep makes the same updates."""
    scale = float(change(torch.ones(()).double()) - change(torch.zeros(()).double()))
    task = Wrapped(values_task(), lambda value, call: change(value.double()))
    found = run_sweep(plan_of(task, min_lr=1e-5 / scale, max_lr=10.0 / scale), linear_state(), NeverStop())
    plain = run_sweep(plan_of(), linear_state(), NeverStop())
    assert found.diverged
    assert len(found.points) == pytest.approx(len(plain.points), abs=3)
    assert len(found.points) > 30


def test_a_loss_that_is_zero_already_suggests_nothing() -> None:
    found = run_sweep(plan_of(Wrapped(values_task(), lambda value, call: value * 0)), linear_state(), NeverStop())
    assert len(found.points) == 60
    assert not found.diverged
    assert read(found.x, found.y, found.diverged).edge == "flat"


def test_the_gradient_norm_is_that_of_the_applied_gradient() -> None:
    data = Repeated([values_batch(16, torch.float32)])
    found = run_sweep(plan_of(train=data, steps=20, max_lr=1e-4), linear_state(), NeverStop())
    model = linear_state().networks["model"]
    batch = data.batches[0]
    (model(batch.inputs) - batch.targets).square().mean().backward()
    norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    assert found.points[0].grad_norm == pytest.approx(float(norm), rel=1e-5)
    clipped = run_sweep(
        plan_of(train=Repeated(data.batches), steps=20, rules=rules(clip_norm=0.01)), linear_state(), NeverStop()
    )
    assert [point.grad_norm for point in clipped.points] == pytest.approx([0.01] * len(clipped.points), rel=1e-3)


def test_the_validation_loss_is_taken_after_each_update_on_the_same_samples(tmp_path: Any) -> None:
    run, plan = run_and_plan(tmp_path)
    val = list(EvalBatches(run.bundle, "val", 4, CPU))
    before = everything(run.state)
    found = run_sweep(replace(plan, val=val, steps=40), run.state, NeverStop())
    assert differences(before, everything(run.state)) == []
    first = np.abs(np.diff(found.y[:8])).max()
    noisy = np.abs(np.diff(run_sweep(replace(plan, steps=40), run.state, NeverStop()).y[:8])).max()
    assert first < noisy / 5  # the same samples, without dropout


def test_a_task_without_a_loss_among_its_metrics_refuses_the_validation_loss() -> None:
    class NoLoss(Wrapped):
        def metric_state(self, names: Sequence[str] = ()) -> Any:
            inner = super().metric_state()

            class Renamed:
                def update(self, prediction: Prediction) -> None:
                    inner.update(prediction)

                def compute(self) -> dict[str, float]:
                    return {"mae": 1.0}

            return Renamed()

    plan = plan_of(NoLoss(values_task(), lambda value, call: value), val=[values_batch(4, torch.float32)])
    with pytest.raises(ConfigError, match=r"--loss=val: .* mae"):
        run_sweep(plan, linear_state(), NeverStop())


class Gan(Task):
    """A one-dimensional GAN: two phases, a network each."""

    phases = {"critic": Phase(("critic",)), "maker": Phase(("maker",))}
    metrics = {"loss": "min"}

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        fake = networks["maker"](as_tensor(batch.inputs)[:, :2])
        if phase == "critic":
            real, made = networks["critic"](batch.targets), networks["critic"](fake.detach())
            ones, zeros = torch.ones_like(real), torch.zeros_like(made)
            criterion = nn.functional.binary_cross_entropy_with_logits
            return LossOutput(criterion(real, ones) + criterion(made, zeros))
        judged = networks["critic"](fake)
        return LossOutput(nn.functional.binary_cross_entropy_with_logits(judged, torch.ones_like(judged)))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        raise AssertionError("a sweep of updates predicts nothing")

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        raise AssertionError("a sweep of updates measures nothing")


def gan_state() -> TrainState:
    torch.manual_seed(0)
    networks = nn.ModuleDict(
        {"critic": nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1)), "maker": nn.Linear(2, 1)}
    )
    optimizers: dict[str, torch.optim.Optimizer] = {
        "critic": torch.optim.Adam(networks["critic"].parameters(), lr=4e-4),
        "maker": torch.optim.Adam(networks["maker"].parameters(), lr=1e-4),
    }
    schedules = {name: constant(optimizer=o, total_steps=100, steps_per_epoch=10) for name, o in optimizers.items()}
    return TrainState(networks, optimizers, schedules, FP32.scaler(), BestSoFar(False))


def test_all_phases_rise_together_and_keep_their_ratio() -> None:
    state, norms = gan_state(), []
    before = everything(state)
    found = run_sweep(plan_of(Gan(), on_point=lambda number, point: norms.append(point.grad_norm)), state, NeverStop())
    assert differences(before, everything(state)) == []
    assert dict(found.groups) == pytest.approx({"critic.0": 1.0, "maker.0": 0.25})
    assert len(found.points) >= 20
    assert found.points[0].loss == pytest.approx(3 * np.log(2), abs=0.7)  # both phases' losses, summed
    assert all(norm > 0 for norm in norms)


def test_generators_are_put_back_however_the_body_ends() -> None:
    before = generators()
    with pytest.raises(KeyError), kept_randomness():
        random.random()
        np.random.random()
        torch.rand(1)
        raise KeyError
    assert differences(before, generators()) == []
