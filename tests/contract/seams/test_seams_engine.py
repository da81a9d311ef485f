"""Seams of the engine: weights of a loss, values of any shape, evaluations that draw noise, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_of import Kept
from torch import Tensor, nn

from dlexp.engine.best_epoch import BestSoFar
from dlexp.engine.evaluate import evaluate
from dlexp.engine.loop import FitPlan, fit
from dlexp.engine.state import EpochSums, TrainState
from dlexp.engine.step import StepRules, phase_seed, train_step
from dlexp.metrics.states import Mean, MetricState
from dlexp.optim.schedules.smooth import constant
from dlexp.regularization.penalties import Penalty
from dlexp.runtime.distributed import ALONE, SingleProcess
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import generator, seed_global
from dlexp.runtime.signals import NeverStop
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

FP32 = Precision("fp32", "cpu", "")
RULES = StepRules(FP32, Penalty(0.0, 0.0), None, 5, check_every_step=True)
WIDTH = 6  # tokens of a sample, or pixels of a row
NOTHING = -1  # a target that no loss counts: padding


class MeanLoss(MetricState):
    """The mean loss of an evaluation."""

    def __init__(self) -> None:
        self.mean = Mean()

    def update(self, prediction: Prediction) -> None:
        """Add a batch."""
        self.mean.add(prediction)

    def merge(self, other: MeanLoss) -> None:
        """Add the batches of another state."""
        self.mean.merge(other.mean)

    def compute(self) -> dict[str, float]:
        """The mean."""
        return {"loss": self.mean.value()}


class Tokens(Task):
    """A class for each token, and no class for padding; the loss is a mean over the tokens."""

    metrics = {"loss": "min"}

    def loss_weight(self, phase: str, batch: Batch) -> int | Tensor:
        """Tokens that are no padding."""
        return (as_tensor(batch.targets) != NOTHING).sum()

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """Cross entropy of the tokens."""
        outputs = networks["model"](batch.inputs)  # (B, WIDTH, 3)
        value = nn.functional.cross_entropy(
            outputs.flatten(0, 1), as_tensor(batch.targets).flatten(), ignore_index=NOTHING
        )
        return LossOutput(value, {"accuracy": outputs.detach().argmax(-1) == batch.targets})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The loss alone; its mean is over the tokens."""
        value = self.loss("train", networks, batch).value
        outputs = torch.zeros(len(batch), 1)
        return Prediction(outputs, None, value, batch.indices, weight=self.loss_weight("train", batch))

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """The mean loss."""
        return MeanLoss()


class Masks(Tokens):
    """A class for each pixel (B, H, W); every pixel counts."""

    def loss_weight(self, phase: str, batch: Batch) -> int | Tensor:
        """Pixels."""
        return as_tensor(batch.targets).numel()


class Noisy(Tokens):
    """The loss of a variational autoencoder: it draws from torch's generator, and a user's part from NumPy's."""

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """A loss with noise in it."""
        value = torch.rand(()) + float(np.random.rand())
        return Prediction(torch.zeros(len(batch), 1), None, value, batch.indices)


class Data:
    """Training batches of sentences; sizes of the batches as given."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.num_samples = sum(len(batch) for batch in batches)

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        """The same batches in every epoch."""
        yield from self.batches[first_batch:]


def sentences(first: int, lengths: list[int]) -> Batch:
    """Sentences padded to WIDTH."""
    rng = generator(0, "tokens", first)
    inputs = torch.randn(len(lengths), WIDTH, 4, generator=rng, dtype=torch.float64)
    targets = torch.randint(0, 3, (len(lengths), WIDTH), generator=rng)
    for row, length in enumerate(lengths):
        targets[row, length:] = NOTHING
    return Batch(inputs, targets, torch.arange(first, first + len(lengths)))


def joined(*batches: Batch) -> Batch:
    """One batch of all their samples."""
    inputs, targets, indices = (
        torch.cat([getattr(batch, name) for batch in batches]) for name in ("inputs", "targets", "indices")
    )
    return Batch(inputs, targets, indices)


def new_state() -> TrainState:
    seed_global(1, "init")
    networks = nn.ModuleDict({"model": nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()})
    optimizer = torch.optim.SGD(networks.parameters(), lr=0.1)
    schedule = constant(optimizer=optimizer, total_steps=100, steps_per_epoch=10)
    return TrainState(networks, {"train": optimizer}, {"train": schedule}, FP32.scaler(), BestSoFar(maximize=False))


def gradient(task: Task, *micro_batches: Batch) -> tuple[Tensor, dict[str, float]]:
    """The gradient of one update, and the means that it leaves."""
    state = new_state()
    train_step(task, state, micro_batches, RULES)
    return torch.cat([p.grad.flatten() for p in state.networks.parameters() if p.grad is not None]), state.sums.means()


SHORT, LONG = sentences(0, [1, 2]), sentences(2, [6, 5, 6])


def test_a_token_mean_over_two_batches_has_the_gradient_of_one() -> None:
    """By samples the two would weigh 2 to 3, by tokens they weigh 3 to 17."""
    whole, means = gradient(Tokens(), joined(SHORT, LONG))
    parts, means_of_parts = gradient(Tokens(), SHORT, LONG)
    assert (parts - whole).abs().max() < 1e-12
    assert means_of_parts == pytest.approx(means, abs=1e-12)


@pytest.mark.parametrize("sizes", [(1, 3), (2, 2), (3, 1)])
def test_a_pixel_mean_over_two_batches_has_the_gradient_of_one(sizes: tuple[int, int]) -> None:
    rng = generator(0, "masks")
    inputs = torch.randn(4, 3, WIDTH, 4, generator=rng, dtype=torch.float64)
    targets = torch.randint(0, 3, (4, 3, WIDTH), generator=rng)
    batch = Batch(inputs, targets, torch.arange(4))

    class Pixels(Masks):
        def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
            outputs = networks["model"](batch.inputs)
            value = nn.functional.cross_entropy(outputs.flatten(0, -2), as_tensor(batch.targets).flatten())
            return LossOutput(value, {"accuracy": outputs.detach().argmax(-1) == batch.targets})

    cut = [Batch(*part) for part in zip(*(x.split(sizes) for x in (inputs, targets, batch.indices)), strict=True)]
    whole, means = gradient(Pixels(), batch)
    parts, means_of_parts = gradient(Pixels(), *cut)
    assert (parts - whole).abs().max() < 1e-12
    assert means_of_parts == pytest.approx(means, abs=1e-12)
    assert 0 <= means["accuracy"] <= 1


@pytest.mark.parametrize("shape", [(4,), (4, 7), (4, 300, 300)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_the_mean_of_a_part_is_over_its_elements(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """A mask (B, H, W) divided by B samples would be right in 9,000,000 % of them."""
    sums = EpochSums()
    sums.add("hits", torch.ones(shape).to(dtype), 4)
    sums.add("hits", torch.zeros(shape).to(dtype), 4)
    sums.add("hits", torch.ones((2, *shape[1:])).to(dtype), 2)
    sums.count = 10
    assert sums.means() == {"hits": pytest.approx(0.6, abs=1e-12)}


def test_the_sums_of_an_epoch_survive_a_checkpoint() -> None:
    sums = EpochSums(learning_rates={"train": 0.5})
    sums.add("hits", torch.tensor([[True, False, True]]), 1)
    sums.add("loss", 2.0, torch.tensor(3.0))
    again = EpochSums.from_plain(sums.to_plain(), torch.device("cpu"))
    for each in (sums, again):
        each.add("loss", 6.0, 1)
    assert again.means() == sums.means() == {"loss": 3.0, "hits": pytest.approx(2 / 3)}
    assert again.learning_rates == {"train": 0.5}


def test_a_mean_over_nothing_has_no_value() -> None:
    sums = EpochSums()
    sums.add("loss", 0.0, 0)
    assert sums.means() == {}


def test_the_loss_of_an_evaluation_is_the_mean_over_what_a_prediction_counts() -> None:
    networks = new_state().networks
    parts = evaluate(Tokens(), networks, [SHORT, LONG], FP32, seed=0).metrics["loss"]
    whole = evaluate(Tokens(), networks, [joined(SHORT, LONG)], FP32, seed=0).metrics["loss"]
    assert parts == pytest.approx(whole, abs=1e-7)
    by_samples = sum(
        float(Tokens().loss("train", dict(networks.items()), batch).value.detach()) * len(batch)
        for batch in (SHORT, LONG)
    )
    assert abs(parts - by_samples / 5) > 1e-3


def losses_of(task: Task, networks: nn.ModuleDict, batches: Iterable[Batch]) -> list[float]:
    """The loss of each batch of an evaluation with seed 3."""
    kept = Kept(task.metric_state())
    evaluate(task, networks, batches, FP32, kept, seed=3)
    return [float(each.loss) for each in kept.predictions]


def test_two_evaluations_of_the_same_weights_are_the_same() -> None:
    networks, batches = new_state().networks, [SHORT, LONG]
    losses = []
    for before in (1, 2):
        seed_global(before)  # whatever ran before
        losses.append(evaluate(Noisy(), networks, batches, FP32, seed=3).metrics)
    assert losses[0] == losses[1]
    assert evaluate(Noisy(), networks, batches, FP32, seed=4).metrics != losses[0]
    twins = losses_of(Noisy(), networks, [SHORT, SHORT])
    assert twins[0] != twins[1]  # each batch draws its own numbers


def test_what_reads_the_batches_may_draw_as_well() -> None:
    """The processes of a loader take their seed from torch's generator; so may one without processes."""

    def reading(draws: int) -> Iterator[Batch]:
        for batch in (SHORT, LONG):
            torch.rand(draws)
            yield batch

    networks = new_state().networks
    found = [losses_of(Noisy(), networks, reading(draws)) for draws in (0, 5)]
    assert found[0] == found[1]


def test_an_evaluation_leaves_every_generator_as_it_was() -> None:
    def draws(evaluations: int) -> tuple[float, float]:
        seed_global(7)
        for _ in range(evaluations):
            evaluate(Noisy(), new_state_networks, [SHORT, LONG], FP32, seed=3)
        return float(torch.rand(())), float(np.random.rand())

    new_state_networks = new_state().networks
    assert draws(0) == draws(2)


class NoCheckpoints:
    def save(self, state: Any, best: Any = None) -> None:
        """Keep nothing."""


def test_a_training_with_evaluations_has_the_bits_of_one_without() -> None:
    """A part of the user's draws from NumPy while it trains, and the evaluation of the others draws too."""

    class Drawing(Noisy):
        def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
            output = super().loss(phase, networks, batch)
            return replace(output, value=output.value * (1 + float(np.random.rand())))

    class Quiet(Drawing):
        def predict(self, networks: Networks, batch: Batch) -> Prediction:
            return Prediction(torch.zeros(len(batch), 1), None, torch.ones(()), batch.indices)

    ends = []
    for task, val in ((Drawing(), [SHORT, LONG] * 3), (Quiet(), [SHORT])):
        state = new_state()
        seed_global(9)
        plan = FitPlan(task, Data([SHORT, LONG]), val, RULES, 3, 1, "val/loss")
        fit(plan, state, NoCheckpoints(), NeverStop())
        ends.append(torch.cat([p.detach().flatten() for p in state.networks.parameters()]))
    assert torch.equal(ends[0], ends[1])


def test_one_process_is_its_own_group() -> None:
    value = torch.ones(2)
    group = SingleProcess()
    assert (group.rank, group.size, group.any(True), group.any(False)) == (0, 1, True, False)
    assert group.sum(value) is value
    assert (group.gather("a"), group.broadcast("a"), group.sum(3)) == (["a"], "a", 3)


class SecondOfTwo(SingleProcess):
    rank, size = 1, 2


class FirstOfTwo(SingleProcess):
    size = 2


def test_each_process_draws_its_own_numbers_and_the_first_those_of_a_single_one() -> None:
    state = new_state()
    seeds = [phase_seed(state, RULES, ("train", 0), group.rank) for group in (ALONE, FirstOfTwo(), SecondOfTwo())]
    assert seeds[0] == seeds[1] != seeds[2]


PROCESS = Path(__file__).with_name("seams_process.py")


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """Gloo on the CPU: gradients, epoch means, metrics, skipped updates and a stop are those of the whole."""
    where = f"file://{tmp_path / 'meet'}"
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROCESS), str(rank), where, str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(PROCESS.parents[2] / "support"), os.environ.get("PYTHONPATH", ""))),
            },
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    whole, *parts = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "0", "1"))
    for part in parts:
        assert part["weights"] == pytest.approx(whole["weights"], abs=1e-12)
        assert part["rows"] == [] if part["rank"] else len(part["rows"]) == 2
        assert part["clipped"] == pytest.approx(whole["clipped"], abs=1e-12)
        assert part["skipped"] == 1  # one process alone saw a NaN
        assert part["weights_after_skip"] == pytest.approx(parts[0]["weights_after_skip"], abs=0)
        assert part["stopped"] == "SIGTERM received; saved at epoch 1, batch 2"  # only one was asked to
    for row, other in zip(parts[0]["rows"], whole["rows"], strict=True):
        assert row == pytest.approx(other, abs=1e-12)
    assert parts[0]["saves"] == 2 and parts[1]["saves"] == 0
    assert sorted(parts[0]["taken"] + parts[1]["taken"]) == sorted(whole["taken"])
