"""The engine knows no task: a GAN with two phases and two optimizers, written here alone, runs through it as it is."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, read_checkpoint
from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.loop import EpochRecord, FitPlan, Observer, StepRecord, fit
from dlexp.engine.recovery import NonfinitePolicy, Recovery, RecoveryHooks
from dlexp.engine.state import TrainState
from dlexp.engine.step import StepRules, train_step
from dlexp.errors import Interrupted
from dlexp.metrics.states import MetricState, RegressionState
from dlexp.optim.schedules.smooth import cosine
from dlexp.regularization.penalties import Penalty
from dlexp.regularization.weight_averaging import Ema
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import generator, order, seed_global
from dlexp.runtime.signals import NeverStop, StopRequest
from dlexp.tasks.base import Networks, Phase, Task
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

MEAN, SAMPLES, BATCH, NOISE = 4.0, 256, 32, 2
BATCHES = SAMPLES // BATCH
FP32 = Precision("fp32", "cpu", "")
RULES = StepRules(FP32, Penalty(0.0, 0.0), None, 5, check_every_step=True)


class Gan(Task):
    """Goodfellow et al. 2014 in one dimension; the metric is how far the mean of the samples is from the data's."""

    phases = {"discriminator": Phase(("discriminator",)), "generator": Phase(("generator",))}
    metrics = {"loss": "min", "mae": "min", "rmse": "min", "r2": "max"}

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The phase decides whose loss it is."""
        fake = networks["generator"](torch.randn(len(batch), NOISE))
        if phase == "generator":
            return LossOutput(nn.functional.softplus(-networks["discriminator"](fake)).mean())
        real, made = networks["discriminator"](batch.inputs), networks["discriminator"](fake.detach())
        value = (nn.functional.softplus(-real) + nn.functional.softplus(made)).mean()
        return LossOutput(value, {"hits": (real.detach() > 0).float().mean()})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The mean of many samples, against the mean of the data."""
        outputs = samples(networks).mean(0, keepdim=True).expand(len(batch), 1)
        return Prediction(outputs, torch.full_like(outputs, MEAN), (outputs - MEAN).abs().mean(), batch.indices)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Distances."""
        return RegressionState(1)


def samples(networks: Mapping[str, nn.Module]) -> Tensor:
    return torch.as_tensor(networks["generator"](torch.randn(500, NOISE, generator=generator(0, "noise"))))


class Bell:
    """Samples of a normal distribution around MEAN."""

    num_samples = SAMPLES

    def __init__(self) -> None:
        self.values = MEAN + 0.5 * torch.randn(SAMPLES, 1, generator=generator(0, "bell"))

    def __len__(self) -> int:
        return BATCHES

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        for rows in order(SAMPLES, 0, epoch, attempt).split(BATCH)[first_batch:]:
            yield Batch(self.values[rows], self.values[rows], rows)


def new_state(epochs: int) -> TrainState:
    seed_global(1, "init")
    networks = nn.ModuleDict(
        {
            "generator": nn.Sequential(nn.Linear(NOISE, 8), nn.ReLU(), nn.Linear(8, 1)),
            "discriminator": nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1)),
        }
    )
    optimizers: dict[str, torch.optim.Optimizer] = {
        phase: torch.optim.Adam(networks[phase].parameters(), lr=0.01, betas=(0.5, 0.9)) for phase in Gan.phases
    }
    schedules = {
        phase: cosine(optimizer=optimizer, total_steps=epochs * BATCHES, steps_per_epoch=BATCHES)
        for phase, optimizer in optimizers.items()
    }
    return TrainState(networks, optimizers, schedules, FP32.scaler(), BestSoFar(maximize=False))


def train(
    folder: Path,
    epochs: int,
    observers: tuple[Observer, ...] = (),
    stop: StopRequest | None = None,
    task: Task | None = None,
    recovery: RecoveryHooks | None = None,
) -> list[dict[str, float | int]]:
    """Train from where last.pt stands; returns the rows of the epochs."""
    rows: list[dict[str, float | int]] = []

    def remember(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            rows.append({k: v for k, v in record.values.items() if k not in ("seconds", "samples_per_s")})

    state, store, data = new_state(epochs), CheckpointStore(folder, print), Bell()
    saved = store.load_last()
    if saved is not None:
        state.load_state_dict(saved)
    val = list(data.epoch(0))[:1]
    plan = FitPlan(
        task or Gan(),
        data,
        val,
        RULES,
        epochs,
        1,
        "val/mae",
        observers=(remember, *observers),
        recovery=recovery or RecoveryHooks(),
    )
    fit(plan, state, store, NeverStop() if stop is None else stop)
    return rows


def weights(networks: nn.ModuleDict) -> dict[str, Tensor]:
    return {name: torch.cat([p.detach().flatten() for p in net.parameters()]) for name, net in networks.items()}


class ChangeLog:
    """Which networks changed in the step of which phase."""

    def __init__(self, state: TrainState) -> None:
        self.seen: list[tuple[str, list[str]]] = []
        self._state = state
        self._last = weights(state.networks)
        for phase, optimizer in state.optimizers.items():
            optimizer.register_step_post_hook(self._hook(phase))

    def _hook(self, phase: str) -> Callable[[object, object, object], None]:
        def after(optimizer: object, args: object, kwargs: object) -> None:
            now = weights(self._state.networks)
            self.seen.append((phase, [name for name in now if not torch.equal(now[name], self._last[name])]))
            self._last = now

        return after


def test_each_phase_changes_its_own_network_alone() -> None:
    state = new_state(1)
    log = ChangeLog(state)
    batches = Bell().epoch(0)
    for _ in range(2):
        train_step(Gan(), state, [next(batches)], RULES)
    assert log.seen == [("discriminator", ["discriminator"]), ("generator", ["generator"])] * 2
    assert torch.equal(weights(state.networks)["generator"], log._last["generator"])


def test_what_one_phase_leaves_in_the_gradients_of_the_other_is_not_used() -> None:
    """The generator's loss flows through the discriminator; its next step must not see that gradient."""
    with_generator, alone = new_state(1), new_state(1)
    batch = next(Bell().epoch(0))
    train_step(Gan(), with_generator, [batch], RULES)
    assert any(p.grad is not None and p.grad.any() for p in with_generator.networks["discriminator"].parameters())
    for p in alone.networks.parameters():
        p.grad = torch.full_like(p, 1e3)
    train_step(Gan(), alone, [batch], RULES)
    for name, found in weights(alone.networks).items():
        assert torch.equal(found, weights(with_generator.networks)[name])


def test_the_columns_carry_the_names_of_the_phases(tmp_path: Path) -> None:
    (row,) = train(tmp_path, 1)
    train_columns = [name for name in row if name.startswith("train/")]
    assert train_columns == ["train/discriminator_loss", "train/discriminator_hits", "train/generator_loss"]
    # at the beginning nobody can tell: 2 log 2 and log 2
    assert row["train/discriminator_loss"] == pytest.approx(2 * 0.693, rel=0.5)
    assert row["train/generator_loss"] == pytest.approx(0.693, rel=0.5)


def test_the_samples_move_to_the_data(tmp_path: Path) -> None:
    before = samples(dict(new_state(40).networks.items()))
    rows = train(tmp_path, 40)
    state = new_state(40)
    state.networks.load_state_dict(read_checkpoint(tmp_path / "best.pt")["networks"])
    after = samples(dict(state.networks.items()))
    assert abs(float(before.mean().detach()) - MEAN) > 3
    assert abs(float(after.mean().detach()) - MEAN) < 0.5
    assert min(row["val/mae"] for row in rows) < 0.5


class AskedStop(StopRequest):
    """Stops when told to, as if SIGTERM had come."""

    def ask(self) -> None:
        """What the handler does when the signal comes."""
        self._on_signal(signal.SIGTERM, None)


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """The places where two checkpoints differ, in bits."""
    if isinstance(left, Tensor):
        return [] if torch.equal(left, right) else [path]
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        return [place for key in left for place in differences(left[key], right[key], f"{path}/{key}")]
    if isinstance(left, list | tuple):
        assert len(left) == len(right), path
        return [place for n, a in enumerate(left) for place in differences(a, right[n], f"{path}/{n}")]
    return [] if left == right else [path]


def test_a_gan_stopped_in_the_middle_of_an_epoch_ends_with_the_same_bits(tmp_path: Path) -> None:
    expected = train(tmp_path / "whole", 3)
    stop = AskedStop()

    def ask(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord) and record.step == BATCHES + 3:
            stop.ask()

    with pytest.raises(Interrupted, match="epoch 2, batch 3"):
        train(tmp_path / "parts", 3, (ask,), stop)
    rest = train(tmp_path / "parts", 3)
    assert rest == expected[1:]
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert set(whole["optimizers"]) == {"discriminator", "generator"}
    assert differences(whole, parts) == []


class Critic(Gan):
    """A Wasserstein GAN with a gradient penalty (Gulrajani et al. 2017): three steps of the critic for one."""

    phases = {"discriminator": Phase(("discriminator",), repeat=3), "generator": Phase(("generator",))}

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """Distances between means of scores."""
        critic, fake = networks["discriminator"], networks["generator"](torch.randn(len(batch), NOISE))
        if phase == "generator":
            return LossOutput(-critic(fake).mean())
        between = torch.lerp(as_tensor(batch.inputs), fake.detach(), torch.rand(len(batch), 1)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return LossOutput(critic(fake.detach()).mean() - critic(batch.inputs).mean() + 10 * (slope.norm() - 1) ** 2)


class Slow(Gan):
    """The generator learns in every second update only."""

    phases = {"discriminator": Phase(("discriminator",)), "generator": Phase(("generator",), every=2)}


@pytest.mark.parametrize(
    ("task", "turns"),
    [(Critic(), ["discriminator"] * 3 + ["generator"]), (Slow(), ["discriminator", "discriminator", "generator"])],
)
def test_a_phase_runs_as_often_as_it_says(task: Gan, turns: list[str]) -> None:
    updates = 2 * turns.count("generator") if task.phases["generator"].every == 1 else 4
    state = new_state(1)
    log = ChangeLog(state)
    batches = Bell().epoch(0)
    for _ in range(updates):
        train_step(task, state, [next(batches)], RULES)
    assert log.seen == [(phase, [phase]) for phase in turns] * 2
    assert state.step == updates


def test_each_repetition_draws_its_own_noise() -> None:
    state, seen = new_state(1), []

    class Watching(Critic):
        def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
            seen.append(float(torch.rand(())))
            return super().loss(phase, networks, batch)

    train_step(Watching(), state, [next(Bell().epoch(0))], RULES)
    assert len(set(seen)) == len(seen) == 4


def test_the_mean_of_a_phase_is_over_the_updates_that_it_had(tmp_path: Path) -> None:
    """A generator that learns in every second update saw half of the samples; its loss is no smaller for that."""
    (row,) = train(tmp_path, 1, task=Slow())
    assert row["train/generator_loss"] == pytest.approx(0.693, rel=0.5)
    assert row["train/discriminator_loss"] == pytest.approx(2 * 0.693, rel=0.5)


def test_a_schedule_moves_with_the_updates_of_the_run(tmp_path: Path) -> None:
    for number, task in enumerate((Gan(), Critic(), Slow())):
        (first, second) = train(tmp_path / str(number), 2, task=task)
        assert second["lr/generator"] == second["lr/discriminator"] < first["lr/generator"]
        assert "lr" not in second


@pytest.mark.parametrize("task", [Critic(), Slow()])
@pytest.mark.parametrize("step", [BATCHES + 2, BATCHES + 3])
def test_a_resume_within_a_cycle_of_phases_is_exact(tmp_path: Path, task: Gan, step: int) -> None:
    expected, stop = train(tmp_path / "whole", 3, task=task), AskedStop()

    def ask(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord) and record.step == step:
            stop.ask()

    with pytest.raises(Interrupted):
        train(tmp_path / "parts", 3, (ask,), stop, task=task)
    assert train(tmp_path / "parts", 3, task=task) == expected[1:]
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert differences(whole, parts) == []


@pytest.mark.parametrize("repetition", [0, 1, 2])
def test_a_repetition_that_fails_is_undone_and_those_before_it_stay(repetition: int) -> None:
    class Sick(Critic):
        calls = 0

        def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
            self.calls += 1
            output = super().loss(phase, networks, batch)
            return LossOutput(output.value * (math.nan if self.calls == repetition + 1 else 1.0))

    state, log = new_state(1), []
    state.optimizers["discriminator"].register_step_post_hook(lambda *_: log.append(1))
    recovery = Recovery(Sick(), RULES, state, RecoveryHooks(NonfinitePolicy("skip")))
    recovery.update([next(Bell().epoch(0))])
    assert len(log) == repetition
    assert (state.nonfinite.skipped, state.step, state.sums.means()) == (1, 1, {})
    assert state.learning_rates["generator"] == state.learning_rates["discriminator"]


def test_a_rollback_within_a_cycle_of_phases_begins_the_cycle_again(tmp_path: Path) -> None:
    """Every epoch of eight updates begins at the same place of a cycle of two, and so does its second attempt."""

    class Sick(Slow):
        def __init__(self) -> None:
            self.calls = 0
            self.turns: list[str] = []

        def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
            self.calls += 1
            self.turns.append(phase[0])
            output = super().loss(phase, networks, batch)
            return replace(output, value=output.value * (math.nan if self.calls == 4 else 1.0))

    task = Sick()
    train(tmp_path, 1, task=task, recovery=RecoveryHooks(NonfinitePolicy("rollback")))
    assert "".join(task.turns) == "ddgd" + "ddg" * (BATCHES // 2)


def test_an_average_of_weights_follows_each_update_once() -> None:
    state = new_state(1)
    state.average = Ema(state.networks, 0.5)
    batches = Bell().epoch(0)
    for _ in range(4):
        train_step(Critic(), state, [next(batches)], RULES)
    assert state.average.state_dict() == {"updates": 4}


@pytest.mark.parametrize("task", [Critic(), Slow()])
def test_in_fp16_a_phase_may_repeat_and_pause(task: Gan) -> None:
    """The scaler wants one update of its scale between two steps of an optimizer, and a step before each update."""
    state, batches = new_state(1), Bell().epoch(0)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    for _ in range(4):
        train_step(task, state, [next(batches)], RULES)
    assert state.scaler.get_scale() == 2.0**4
    assert state.average.state_dict() == {}


@pytest.mark.parametrize("settings", [{"every": 0}, {"repeat": -1}])
def test_a_phase_that_never_runs_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        Phase(("generator",), **settings)
