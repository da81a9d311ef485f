"""What is measured of networks: units, parameters, memory and made-up outputs, without changing anything."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.diagnosis.measures.activations import measure_activations
from dlexp.diagnosis.measures.constant_output import constant_loss, ideal_losses
from dlexp.diagnosis.measures.memory import measure_memory
from dlexp.diagnosis.measures.network import Sampled, measure_layers, measure_losses, measure_parameters
from dlexp.losses.binary import BCE
from dlexp.losses.classification import CrossEntropy
from dlexp.losses.regression import MSE
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.tasks.classification import Classification
from dlexp.tasks.regression import Regression
from dlexp.types import Batch, Sequences

F_COUNT, CLASSES, SIZE = 6, 3, 32


def classification(loss: nn.Module | None = None, count: int = CLASSES) -> Task:
    return Classification(spec=DataSpec(TableSpec(F_COUNT), ClassSpec.numbered(count)), loss=loss or CrossEntropy())


def regression() -> Task:
    return Regression(spec=DataSpec(TableSpec(F_COUNT), ValueSpec(("y",), (2.0,), (3.0,))), loss=MSE())


def batches(classes: int = CLASSES, count: int = 4) -> list[Batch]:
    drawn = torch.Generator().manual_seed(0)
    inputs = [torch.randn(SIZE, F_COUNT, generator=drawn) for _ in range(count)]
    for one in inputs:
        one[:, 0] = 0.0  # a dead pixel
    numbers = torch.arange(SIZE)
    return [Batch(one, numbers % classes, numbers) for one in inputs]


def sampled(task: Task | None = None, given: list[Batch] | None = None) -> Sampled:
    return Sampled(task or classification(), 0, given or batches(), SIZE)


def networks(model: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict({"model": model})


class Functional(nn.Module):
    """A rectifier that is a function, with dead units of its own."""

    def __init__(self, dead: int = 0, width: int = 10) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.head = nn.Linear(F_COUNT, width), nn.BatchNorm1d(width), nn.Linear(width, CLASSES)
        with torch.no_grad():
            self.norm.bias[:dead] = -20.0

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(F.relu(self.norm(self.first(x))))
        return found


def test_a_healthy_rectifier_with_half_zeros_has_no_dead_units_and_dead_inputs_are_none() -> None:
    model = networks(Functional().train())
    before = copy.deepcopy(model.state_dict())
    (found,) = measure_activations(model, sampled())
    assert (found.units, found.dead, found.constant) == (10, 0, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_dead_units_of_a_function_are_counted_over_all_batches() -> None:
    (found,) = measure_activations(networks(Functional(dead=4)), sampled())
    assert (found.place, found.function, found.after) == ("relu after norm", "relu", "norm")
    assert (found.dead, found.dead_share) == (4, 0.4)


def test_a_unit_that_is_alive_in_one_batch_is_alive() -> None:
    first = nn.Linear(1, 1)
    nn.init.ones_(first.weight)
    nn.init.zeros_(first.bias)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(1, CLASSES))
    numbers = torch.arange(SIZE)
    given = [Batch(torch.linspace(-2, -1, SIZE)[:, None], numbers % 3, numbers) for _ in range(3)]
    alive = Batch(torch.linspace(-2, 1, SIZE)[:, None], numbers % 3, numbers)
    assert measure_activations(networks(model), sampled(given=given))[0].dead == 1
    assert measure_activations(networks(model), sampled(given=[*given, alive]))[0].dead == 0


def test_units_whose_input_never_changes_are_no_dead_ones() -> None:
    first = nn.Linear(F_COUNT, 4)
    nn.init.zeros_(first.weight)
    nn.init.constant_(first.bias, -1.0)
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(4, CLASSES))
    (found,) = measure_activations(networks(model), sampled())
    assert (found.dead, found.constant, found.silent_share) == (0, 4, 1.0)


def test_a_shared_activation_is_judged_in_each_of_its_places() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.act, self.first = nn.ReLU(), nn.Linear(F_COUNT, 8)
            self.second, self.head = nn.Linear(8, 4), nn.Linear(4, CLASSES)
            nn.init.constant_(self.second.bias, -50.0)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.act(self.second(self.act(self.first(x)))))
            return found

    found = measure_activations(networks(Shared()), sampled())
    assert [(one.place, one.dead) for one in found] == [("act after first", 0), ("act after second", 4)]


def test_saturation_is_the_share_of_outputs_at_an_end() -> None:
    torch.manual_seed(0)
    first = nn.Linear(F_COUNT, 8)
    model = nn.Sequential(first, nn.Tanh(), nn.Linear(8, CLASSES))
    (usual,) = measure_activations(networks(model), sampled())
    with torch.no_grad():
        first.weight.mul_(50)
    (found,) = measure_activations(networks(model), sampled())
    assert usual.saturated is not None
    assert usual.saturated < 0.1
    assert found.saturated is not None
    assert found.saturated > 0.8
    assert found.input_size > 5


def test_the_gates_of_an_lstm_are_no_hidden_units_and_its_outputs_are_seen() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(1, 5, batch_first=True), nn.Linear(5, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.rnn(x[:, :, None])[0][:, -1])
            return found

    model = networks(Reads())
    assert not measure_activations(model, sampled())
    assert [one.name for one in measure_layers(model, sampled())] == ["rnn", "head"]


def test_parameters_without_a_gradient_are_reported_and_single_elements_give_no_nan() -> None:
    model = Functional()
    model.scale = nn.Parameter(torch.ones(1))
    model.extra = nn.Linear(2, 2)
    model.first.requires_grad_(False)
    found = {one.name: one for one in measure_parameters(networks(model), sampled(), None)}
    assert not found["model.extra.weight"].is_used
    assert not found["model.scale"].is_used
    assert found["model.scale"].size == 1.0
    assert found["model.first.weight"].is_frozen
    assert found["model.head.weight"].is_used
    assert all(math.isfinite(one.size) and one.not_finite == 0 for one in found.values())


def test_layers_that_are_called_in_training_alone_are_used() -> None:
    class Auxiliary(Functional):
        def __init__(self) -> None:
            super().__init__()
            self.extra = nn.Linear(F_COUNT, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.extra(x) if self.training else super().forward(x)

    model = networks(Auxiliary())
    before = copy.deepcopy(model.state_dict())
    assert all(one.is_used for one in measure_parameters(model, sampled(), None))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_gradients_that_are_not_finite_are_counted() -> None:
    class Root(Functional):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head((self.norm(self.first(x)) * 0).sqrt())
            return found

    found = {one.name: one for one in measure_parameters(networks(Root()), sampled(), None)}
    assert found["model.first.weight"].not_finite > 0


def test_fresh_statistics_show_running_ones_that_lag_behind() -> None:
    network = Functional()
    model, norm = networks(network), network.norm
    assert norm.running_var is not None
    norm.running_var.fill_(1e-6)
    before = copy.deepcopy(model.state_dict())
    losses = measure_losses(model, sampled())
    assert losses.batch_norms == 1
    assert losses.evaluation > 1.5 * losses.refreshed
    assert losses.refreshed == pytest.approx(losses.batch_statistics, rel=0.2)
    assert norm.momentum == 0.1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_best_constant_has_the_entropy_of_the_classes_or_the_variance_of_the_values() -> None:
    numbers = torch.arange(SIZE)
    rare = [Batch(torch.zeros(SIZE, F_COUNT), (numbers % 8 == 0).long(), numbers)]
    entropy = -(0.125 * math.log(0.125) + 0.875 * math.log(0.875))
    model = networks(nn.Linear(F_COUNT, 2))
    assert constant_loss(classification(count=2), model, rare, 0) == pytest.approx(entropy, abs=1e-3)
    one_score = networks(nn.Linear(F_COUNT, 1))
    assert constant_loss(classification(BCE(), 2), one_score, rare, 0) == pytest.approx(entropy, abs=1e-3)
    values = [Batch(torch.zeros(SIZE, F_COUNT), numbers.double()[:, None] / 4, numbers)]
    variance = float((numbers / 4).double().var(correction=0)) / 9
    assert constant_loss(regression(), one_score, values, 0) == pytest.approx(variance, abs=1e-3)


def test_losses_of_right_outputs_show_what_a_loss_takes() -> None:
    found = ideal_losses(classification(), networks(nn.Linear(F_COUNT, CLASSES)), batches(), 0, CLASSES)
    assert found is not None
    assert found.probabilities == pytest.approx(math.log(1 + (CLASSES - 1) / math.e), abs=1e-4)
    assert found.scores < 1e-6
    binary = ideal_losses(classification(BCE(), 2), networks(nn.Linear(F_COUNT, 1)), batches(2), 0, 2)
    assert binary is not None
    assert binary.scores < 1e-6 < binary.bounded < binary.probabilities


def sequences(longest: int = 20) -> list[Batch]:
    drawn, numbers = torch.Generator().manual_seed(0), torch.arange(SIZE)
    values = torch.randn(SIZE, longest, 2, generator=drawn)
    return [Batch(Sequences(values, torch.full((SIZE,), longest)), numbers % CLASSES, numbers)]


class Remembers(nn.Module):
    """A recurrent network of one's own; `how`: padded, packed or single steps of a cell."""

    def __init__(self, how: str, keeps: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.how = how
        self.rnn = nn.RNNCell(2, 4) if how == "cell" else nn.RNN(2, 4, batch_first=how != "time first")
        self.head = nn.Linear(4, CLASSES)
        weights = dict(self.rnn.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                value.mul_(0.1)
                if name.startswith("weight_hh"):
                    value.copy_(keeps * torch.eye(4))

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        if self.how == "cell":
            state = values.new_zeros(len(values), 4)
            for step in values.unbind(1):
                state = self.rnn(step, state)
        elif self.how == "packed":
            packed = nn.utils.rnn.pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
            state = self.rnn(packed)[1][0]
        elif self.how == "time first":
            state = self.rnn(values.transpose(0, 1))[0][-1]
        else:
            state = self.rnn(values)[0][:, -1]
        found: Tensor = self.head(state)
        return found


@pytest.mark.parametrize("how", ["padded", "packed", "cell", "time first"])
def test_the_reach_of_memory_is_measured_however_a_layer_is_called(how: str) -> None:
    forgets = measure_memory(networks(Remembers(how, 0.3)), sampled(given=sequences()))
    keeps = measure_memory(networks(Remembers(how, 0.99)), sampled(given=sequences()))
    assert forgets is not None
    assert keeps is not None
    assert (forgets.length, keeps.length) == (20, 20)
    assert 3 <= forgets.reach <= 6  # 0.3 to the fourth power is 0.8 %
    assert keeps.reach == 20
    assert forgets.first_share < 1e-6 < keeps.first_share


def test_networks_without_recurrence_and_short_sequences_have_no_memory_to_measure() -> None:
    assert measure_memory(networks(Functional()), sampled()) is None
    assert measure_memory(networks(Remembers("padded", 0.3)), sampled(given=sequences(4))) is None
