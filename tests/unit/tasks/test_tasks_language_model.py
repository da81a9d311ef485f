"""Language models: what counts is counted once, whatever the padding, the batches and the context."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dlexp.errors import ConfigError
from dlexp.losses.no_loss import NoLoss
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.figures import TokenValues
from dlexp.models.recurrent.builders import lstm
from dlexp.sequence_specs import NextTokenSpec, TokenSpec
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.language_model import LanguageModel
from dlexp.text.vocabulary import learn_vocabulary
from dlexp.types import Batch, Prediction, Sequences, select

WORDS = learn_vocabulary(["abcde"], "character")
SIZE = len(WORDS)
SPEC = DataSpec(TokenSpec(SIZE, 6, WORDS), NextTokenSpec(SIZE, 6, WORDS, 1.0))


class Table(nn.Module):
    """The scores of the next token by the last one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Embedding(SIZE, SIZE)

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.scores(values)
        return found


def batch(lengths: list[int], width: int = 6, seed: int = 0) -> Batch:
    drawn = torch.randint(3, SIZE, (len(lengths), width + 1), generator=torch.Generator().manual_seed(seed))
    sizes = torch.tensor(lengths)
    is_padding = torch.arange(width) >= sizes[:, None]
    inputs, targets = (part.masked_fill(is_padding, 0) for part in (drawn[:, :-1], drawn[:, 1:]))
    return Batch(Sequences(inputs, sizes), Sequences(targets, sizes), torch.arange(len(lengths)))


def picked(given: Batch, places: list[int]) -> Batch:
    assert given.targets is not None
    at = torch.tensor(places)
    return Batch(select(given.inputs, at), select(given.targets, at), given.indices[at])


@pytest.fixture
def parts() -> tuple[LanguageModel, dict[str, nn.Module]]:
    torch.manual_seed(0)
    return LanguageModel(spec=SPEC, loss=NoLoss()), {"model": Table()}


def predicted(task: LanguageModel, networks: dict[str, nn.Module], given: Batch) -> Prediction:
    with torch.inference_mode():
        return task.predict(networks, given)


def metrics_of(task: LanguageModel, predictions: list[Prediction]) -> dict[str, float]:
    state = task.metric_state()
    for one in predictions:
        state.update(one)
    return state.compute()


def test_the_metrics_are_those_of_every_token_alone(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    given = batch([6, 2, 4])
    assert isinstance(given.inputs, Sequences)
    assert isinstance(given.targets, Sequences)
    scores = networks["model"](given.inputs.values, None).detach().log_softmax(2)
    pairs = [(n, t) for n, length in enumerate([6, 2, 4]) for t in range(length)]
    known = [int(given.targets.values[pair]) for pair in pairs]
    loss = -sum(float(scores[pair][token]) for pair, token in zip(pairs, known, strict=True)) / 12
    found = metrics_of(task, [predicted(task, networks, given)])
    assert found["loss"] == pytest.approx(loss)
    assert found["bits_per_token"] == pytest.approx(loss / math.log(2))
    assert found["bits_per_byte"] == found["bits_per_token"]  # every letter is a byte
    assert found["perplexity"] == pytest.approx(math.exp(loss))
    right = [int(scores[pair].argmax()) == token for pair, token in zip(pairs, known, strict=True)]
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert float(task.loss("train", networks, given).value.detach()) == pytest.approx(loss)
    assert int(task.loss_weight("train", given)) == 12


def test_batches_and_padding_change_no_metric(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    given = batch([6, 2, 4, 1])
    whole = metrics_of(task, [predicted(task, networks, given)])
    ones = metrics_of(task, [predicted(task, networks, picked(given, [n])) for n in (3, 1, 0, 2)])
    assert ones == pytest.approx(whole)
    assert isinstance(given.inputs, Sequences)
    assert isinstance(given.targets, Sequences)
    noisy = [part.values.masked_fill(~part.mask, 3) for part in (given.inputs, given.targets)]
    inputs, targets = (Sequences(values, given.inputs.lengths) for values in noisy)
    other = Batch(inputs, targets, given.indices)
    assert metrics_of(task, [predicted(task, networks, other)]) == whole


def test_accumulated_batches_have_the_gradient_of_one(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    given, (weight,) = batch([6, 2, 4, 1]), networks["model"].parameters()
    task.loss("train", networks, given).value.backward()
    assert weight.grad is not None
    expected, weight.grad = weight.grad, None
    pieces = [picked(given, [0]), picked(given, [1, 2, 3])]
    total = sum(task.loss_weight("train", piece) for piece in pieces)
    for piece in pieces:
        (task.loss("train", networks, piece).value * task.loss_weight("train", piece) / total).backward()
    torch.testing.assert_close(weight.grad, expected)


def test_context_counts_for_nothing(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    given = batch([6, 6])
    assert isinstance(given.targets, Sequences)
    targets = given.targets.values.clone()
    targets[:, :4] = -1
    masked = Batch(given.inputs, Sequences(targets, given.targets.lengths), given.indices)
    assert int(task.loss_weight("train", masked)) == 4
    found = predicted(task, networks, masked)
    assert not found.outputs[:, :4].any()
    assert float(found.loss) == pytest.approx(float(-predicted(task, networks, given).outputs[:, 4:].mean()))


def test_a_batch_without_tokens_is_finite(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    found = task.loss("train", networks, batch([0, 0]))
    found.value.backward()
    assert float(found.value.detach()) == 0


def test_label_smoothing_is_of_training_alone(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    smooth = LanguageModel(spec=SPEC, loss=NoLoss(), label_smoothing=0.3)
    given = batch([6, 2])
    assert float(predicted(smooth, networks, given).loss) == float(predicted(task, networks, given).loss)
    assert isinstance(given.inputs, Sequences)
    assert isinstance(given.targets, Sequences)
    scores = networks["model"](given.inputs.values, None).detach().log_softmax(2)
    even = -float(scores[given.targets.mask].mean())
    plain = float(task.loss("train", networks, given).value.detach())
    assert float(smooth.loss("train", networks, given).value.detach()) == pytest.approx(0.7 * plain + 0.3 * even)


def test_bytes_are_those_of_the_text() -> None:
    vocabulary = learn_vocabulary(["aß€"], "character")
    spec = NextTokenSpec(len(vocabulary), 3, vocabulary, 1.0)
    task = LanguageModel(spec=DataSpec(TokenSpec(len(vocabulary), 3), spec), loss=NoLoss())
    ids = torch.tensor([vocabulary.encode("aß€")])
    given = Prediction(
        -torch.ones(1, 3), ids, torch.tensor(1.0), torch.tensor([0]), {"is_first": torch.zeros(1, 3, dtype=torch.bool)}
    )
    assert metrics_of(task, [given])["bits_per_byte"] == pytest.approx(3 / math.log(2) / len("aß€".encode()))


def test_the_report_has_every_window_and_intervals(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, networks = parts
    given = batch([6, 2, 4, 6, 6, 3], seed=1)
    states = [task.report_state(), task.report_state()]
    for state, places in zip(states, ([0, 1, 2], [3, 4, 5]), strict=True):
        state.update(predicted(task, networks, picked(given, places)))
    states[0].merge(states[1])
    report = task.report(SPEC, states[0], Resampling(200))
    assert report.metrics == pytest.approx(states[0].compute())
    for name, found in report.intervals.items():
        value = report.metrics[name]
        assert value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= value <= found.high
    rows = list(report.tables["predictions"].rows)
    assert [row[:2] for row in rows] == [[0, 6], [1, 2], [2, 4], [3, 6], [4, 6], [5, 3]]
    assert sum(row[1] * row[3] for row in rows) / 27 == pytest.approx(report.metrics["loss"])
    shown = report.figures["token_losses"]
    assert isinstance(shown, TokenValues)
    means = sorted((row[3] for row in rows), reverse=True)[:3]
    assert [float(np.mean(values)) for values in shown.values] == pytest.approx(means)


def test_other_targets_and_other_outputs_are_refused(parts: tuple[LanguageModel, dict[str, nn.Module]]) -> None:
    task, _ = parts
    with pytest.raises(ValueError, match="language_model requires the next token"):
        LanguageModel(spec=DataSpec(SPEC.inputs, ClassSpec(("a", "b"))), loss=NoLoss())
    with pytest.raises(ValueError, match="must have shape"):
        task.predict({"model": nn.Sequential()}, Batch(torch.zeros(1, 6, 2), batch([6]).targets, torch.zeros(1)))


class Ahead(Table):
    """The scores of the next token by the next one itself."""

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.scores(values.roll(-1, 1))
        return found


class Broken(Table):
    """A network that cannot be run."""

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("broken")


def recurrent(bidirectional: bool) -> nn.Module:
    sizes: dict[str, Any] = {"token": 8, "units": 8, "layers": 1}
    return lstm(
        vocabulary_size=SIZE, num_outputs=SIZE, per_position=True, bidirectional=bidirectional, dropout=0.0, **sizes
    )


@pytest.mark.parametrize(
    ("network", "remedy"),
    [(Ahead(), "model=gpt"), (recurrent(True), "model.bidirectional=false")],
    ids=["own", "bidirectional"],
)
def test_a_network_that_reads_the_token_it_is_to_predict_is_refused(network: nn.Module, remedy: str) -> None:
    with pytest.raises(ConfigError, match="looks ahead") as caught:
        LanguageModel(spec=SPEC, loss=NoLoss()).around(network)
    assert remedy in caught.value.problems[0].remedy


@pytest.mark.parametrize("network", [Table(), Broken(), recurrent(False)], ids=["table", "broken", "recurrent"])
def test_other_networks_are_kept_as_they_are(network: nn.Module) -> None:
    network.train()
    state = torch.get_rng_state()
    assert LanguageModel(spec=SPEC, loss=NoLoss()).around(network) is network
    assert all(module.training for module in network.modules())
    assert torch.equal(torch.get_rng_state(), state)
