"""Gauges: every second of an update lands in its part, and nobody who is watched trains differently."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from engine_toys import BATCH, BATCHES, CPU, SAMPLES, bundle, rules, state_of, values_batch, values_task
from torch import Tensor, nn

from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.engine.loop import FitPlan, StepRecord, fit
from dlexp.engine.profiling.instrumentation import FirstBatches, LimitedBatches, instrument
from dlexp.engine.profiling.probes import Clock, MemoryProbe, Probe, Timer, Tracer
from dlexp.engine.state import TrainState
from dlexp.errors import Diverged
from dlexp.runtime.seed import seed_global
from dlexp.runtime.signals import NeverStop
from dlexp.tasks.base import Task
from dlexp.types import Batch

SECONDS = {"data": 1.0, "forward": 2.0, "backward": 4.0, "optimizer": 8.0, "other": 16.0}


class Hands:
    """A clock that stands still but for what is told to take time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class TakesTime(torch.autograd.Function):
    """The identity, whose gradient takes its time."""

    hands: Hands

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        TakesTime.hands.now += SECONDS["forward"]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        TakesTime.hands.now += SECONDS["backward"]
        return gradient


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        passed: Tensor = TakesTime.apply(self.line(x))
        return passed


class SlowSGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        TakesTime.hands.now += SECONDS["optimizer"]
        return super().step(closure)


class SlowData:
    """Batches of four; the last of an epoch's seven holds two."""

    num_samples = SAMPLES

    def __len__(self) -> int:
        return BATCHES

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        for number in range(first_batch, BATCHES):
            TakesTime.hands.now += SECONDS["data"]
            yield values_batch(min(BATCH, SAMPLES - number * BATCH), first_row=epoch * SAMPLES + number * BATCH)


@pytest.fixture(autouse=True)
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """No test here depends on how fast anything is."""
    TakesTime.hands = Hands()
    monkeypatch.setattr(time, "perf_counter", TakesTime.hands)
    return TakesTime.hands


def slow_state() -> TrainState:
    seed_global(0, "init")
    net = Net()
    torch.optim.SGD(net.parameters(), lr=0.1)  # from the first one on, torch calls the hooks of both step methods
    return state_of(net, SlowSGD(net.parameters(), lr=0.1, momentum=0.9))


class NoCheckpoints:
    def save(self, state: Any, best: Any = None) -> None:
        """Nothing."""


def run(state: TrainState, probe: Probe, updates: int, accumulate: int = 1, task: Task | None = None) -> LimitedBatches:
    """`updates` more updates by the real loop, as `dlexp profile` makes them."""
    task = task or values_task()
    data = LimitedBatches(SlowData(), probe, updates, accumulate)

    def observe(record: object) -> None:
        if isinstance(record, StepRecord):
            TakesTime.hands.now += SECONDS["other"]
            probe.end_update()

    per_epoch = -(-BATCHES // accumulate)
    with instrument(task, rules(), state, probe) as (timed, measured):
        plan = FitPlan(
            task=timed,
            train=data,
            val=[values_batch(4)],
            rules=measured,
            epochs=state.epoch + -(-updates // per_epoch),
            accumulate=accumulate,
            monitor="val/loss",
            observers=[observe],
        )
        fit(plan, state, NoCheckpoints(), NeverStop())
    return data


@pytest.mark.parametrize("slow", [*SECONDS, "all"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_second_is_counted_once_and_in_its_part(
    slow: str, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {part: seconds if slow in (part, "all") else 0.0 for part, seconds in SECONDS.items()}
    for part, seconds in wanted.items():
        monkeypatch.setitem(SECONDS, part, seconds)
    timer = Timer(CPU)
    run(slow_state(), timer, 3, accumulate)
    once = {"optimizer": 1, "other": 1}  # an update; the others once a batch
    expected = {part: seconds * once.get(part, accumulate) for part, seconds in wanted.items()}
    assert timer.updates == [expected] * 3


def test_a_clock_sees_whole_updates_and_their_sum() -> None:
    clock = Clock(CPU)
    run(slow_state(), clock, 10)  # across the end of an epoch
    assert clock.updates == [31.0] * 10
    assert clock.seconds == 310.0


@pytest.mark.parametrize(
    ("updates", "accumulate", "samples"),
    [(1, 1, 4), (7, 1, 26), (9, 1, 34), (3, 3, 26), (4, 3, 38), (1, 3, 12), (2, 50, 52)],
)
def test_a_cut_gives_whole_updates_and_the_short_ones_of_each_epoch(
    updates: int, accumulate: int, samples: int
) -> None:
    state = slow_state()
    data = run(state, Clock(CPU), updates, accumulate)
    assert (state.step, data.samples) == (updates, samples)
    assert (len(data), data.num_samples) == (BATCHES, SAMPLES)


def test_a_cut_gives_the_batches_of_the_real_data() -> None:
    whole = TrainBatches(bundle(), BATCH, 3, CPU)
    cut = LimitedBatches(whole, Clock(CPU), 3, 1)
    rows = [batch.indices.tolist() for batch in cut.epoch(5)]
    assert rows == [batch.indices.tolist() for batch in whole.epoch(5)][:3]


def test_who_is_watched_trains_to_the_same_bits() -> None:
    states = [slow_state() for _ in range(4)]
    probes: list[Probe] = [Clock(CPU), Timer(CPU), MemoryProbe(states[2], CPU), Tracer(CPU)]
    for state, probe in zip(states, probes, strict=True):
        run(state, probe, 5, 2)
    first, *others = [state.networks.state_dict() for state in states]
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
    assert not torch.equal(first["model.line.weight"], slow_state().networks.state_dict()["model.line.weight"])


def test_nothing_stays_hooked_however_it_ends() -> None:
    task, state, timer = values_task(), slow_state(), Timer(CPU)
    with torch.no_grad():
        next(state.networks.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged):
        run(state, timer, 1, task=task)
    optimizer = state.optimizers["train"]
    assert "loss" not in vars(task)
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert timer.updates == []


def test_what_the_forward_pass_keeps_is_counted_in_bytes() -> None:
    rows, width = 64, 32

    def kept(depth: int) -> int:
        net = nn.Sequential(nn.Linear(3, width), *(nn.Sigmoid() for _ in range(depth)), nn.Linear(width, 1))
        state = state_of(net.double(), torch.optim.SGD(net.parameters(), lr=0.1))
        probe = MemoryProbe(state, CPU)
        task = values_task()
        with instrument(task, rules(), state, probe) as (timed, _):
            timed.loss("train", {"model": net}, values_batch(rows))
        return probe.kept

    # A sigmoid keeps its output, float64; the last layer keeps the same one as its input, and it counts once.
    assert kept(7) - kept(2) == 5 * rows * width * 8
    assert kept(1) > 0


def test_a_trace_holds_the_operators_of_its_updates_alone() -> None:
    tracer = Tracer(CPU)
    run(slow_state(), tracer, 3)
    tracer.end()  # again, as after a failure
    counts = {event.key: event.count for event in tracer.profiler.key_averages()}
    assert tracer.updates == 3
    assert counts["aten::addmm"] == 3  # and not that of the evaluation that follows
    assert counts["forward"] == counts["data"] == 3


def test_the_time_of_a_split_is_told_by_its_first_batches(hands: Hands) -> None:
    few = FirstBatches(EvalBatches(bundle(), "val", 2, CPU), 2, Clock(CPU))
    for _ in range(3):
        for _ in few:
            hands.now += 7.0
        few.clock.end()
    assert few.seconds_of_all == 7.0 * 5  # ten samples, two a batch
