"""Tagging: positions count once, entities count whole, and the random field learns what tags follow one another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlexp.losses.no_loss import NoLoss
from dlexp.metrics.bootstrap import Resampling
from dlexp.sequence_specs import TagSpec, TokenSpec
from dlexp.specs import ClassSpec, DataSpec
from dlexp.tasks.tagging import Tagging
from dlexp.types import Batch, Prediction, Sequences, select

NAMES = ("B-X", "I-X", "O")
SPEC = DataSpec(TokenSpec(7, 5), TagSpec(NAMES, 5))


class Scores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 3)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        found: Tensor = self.table(values)
        return found


def batch(lengths: tuple[int, ...] = (5, 2, 3, 0)) -> Batch:
    drawn = torch.Generator().manual_seed(0)
    words, tags = (torch.randint(0, high, (len(lengths), 5), generator=drawn) for high in (7, 3))
    sizes = torch.tensor(lengths)
    return Batch(Sequences(words, sizes), Sequences(tags, sizes), torch.arange(len(lengths)))


def parts(crf: bool) -> tuple[Tagging, dict[str, nn.Module]]:
    torch.manual_seed(0)
    task = Tagging(spec=SPEC, loss=NoLoss(), crf=crf)
    return task, {"model": Scores(), **task.own_networks()}


@pytest.mark.parametrize("crf", [False, True])
def test_padding_and_batches_change_neither_loss_nor_metrics(crf: bool) -> None:
    task, networks = parts(crf)
    given = batch()
    states = [task.report_state(), task.report_state()]
    with torch.inference_mode():
        states[0].update(task.predict(networks, given))
        for places in ([3], [2, 0], [1]):
            at = torch.tensor(places)
            assert given.targets is not None
            one = Batch(select(given.inputs, at), select(given.targets, at), given.indices[at])
            states[1].update(task.predict(networks, one))
    whole, pieces = (state.compute() for state in states)
    assert pieces == pytest.approx(whole, nan_ok=True)
    assert int(task.loss_weight("train", given)) == 10
    assert float(task.loss("train", networks, given).value.detach()) == pytest.approx(whole["loss"])


def test_the_random_field_learns_an_order_that_scores_alone_do_not_show() -> None:
    task, networks = parts(crf=True)
    words = torch.zeros(1, 4, dtype=torch.int64)  # every word is the same: only the order of tags can tell
    tags = torch.tensor([[0, 1, 2, 2]])
    given = Batch(Sequences(words, torch.tensor([4])), Sequences(tags, torch.tensor([4])), torch.tensor([0]))
    optimizer = torch.optim.Adam([p for network in networks.values() for p in network.parameters()], 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        task.loss("train", networks, given).value.backward()
        optimizer.step()
    with torch.inference_mode():
        assert torch.equal(task.predict(networks, given).outputs, tags)


def test_entities_count_by_kind_and_both_ends() -> None:
    task, _ = parts(crf=False)
    true = torch.tensor([[0, 1, 2, 0, 2], [2, 0, 1, -1, -1]])
    found = torch.tensor([[0, 1, 2, 0, 1], [2, 0, 1, 0, 0]])  # two right, one too long
    state = task.report_state()
    state.update(Prediction(found, true, torch.tensor(0.5), torch.tensor([7, 3]), weight=8))
    assert state.compute() == pytest.approx(
        {"loss": 0.5, "accuracy": 7 / 8, "entity_f1": 2 / 3, "entity_precision": 2 / 3, "entity_recall": 2 / 3}
    )
    report = task.report(SPEC, state, Resampling(50))
    assert list(report.tables["per_kind"].rows) == [["X", 3, 3, 2, 2 / 3, 2 / 3, 2 / 3]]
    assert [row[:2] for row in report.tables["predictions"].rows] == [[7, 5], [3, 3]]


def test_without_an_entity_the_metrics_of_entities_are_undefined_with_a_reason() -> None:
    task, _ = parts(crf=False)
    state = task.report_state()
    none = torch.full((1, 3), 2)
    state.update(Prediction(none, none, torch.tensor(0.1), torch.tensor([0]), weight=3))
    report = task.report(SPEC, state)
    assert report.metrics["entity_f1"] is None
    assert report.undefined["entity_f1"]
    assert report.metrics["accuracy"] == 1


def test_other_targets_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="tagging requires"):
        Tagging(spec=DataSpec(SPEC.inputs, ClassSpec(("a", "b"))), loss=NoLoss())
    task, networks = parts(crf=False)
    networks["model"] = nn.Sequential(nn.Embedding(7, 4))
    given = batch()
    with pytest.raises(TypeError):
        task.predict(networks, given)


def test_tags_without_entities_say_so() -> None:
    spec = DataSpec(TokenSpec(7, 5), TagSpec(("NOUN", "VERB"), 5))
    task = Tagging(spec=spec, loss=NoLoss())
    assert "no entities" in task.undefined("entity_f1", torch.zeros(1))
    state = task.report_state()
    tags = torch.zeros(1, 2, dtype=torch.int64)
    state.update(Prediction(tags, tags, torch.tensor(0.1), torch.tensor([0]), weight=2))
    assert set(state.compute()) == {"loss", "accuracy"}
