"""Sequence to sequence: padding, rows, steps, attention that is used, teacher forcing, losses over tokens, commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlexp.cli.app import main
from dlexp.data.pairs.exact import reverse
from dlexp.errors import ConfigError
from dlexp.losses.classification import CrossEntropy
from dlexp.metrics.reports.report import Report
from dlexp.models.seq2seq.builders import seq2seq_gru, seq2seq_lstm
from dlexp.models.seq2seq.network import Seq2SeqNetwork
from dlexp.sequence_specs import SeriesSpec, TokenSpec, TokenTargetSpec
from dlexp.specs import DataSpec
from dlexp.tasks.seq2seq import Seq2Seq
from dlexp.types import Batch, Sequences, as_tensor

BEGIN, END, OUTPUTS = 1, 2, 8
LENGTHS, TARGETS = torch.tensor([6, 2, 4, 1, 0]), torch.tensor([5, 3, 1, 4, 2])
SPEC = DataSpec(TokenSpec(9, 6), TokenTargetSpec(OUTPUTS, 5, BEGIN, END))
MAKERS = {"lstm": seq2seq_lstm, "gru": seq2seq_gru}


def network(kind: str = "lstm", attention: str = "additive", **keys: Any) -> Seq2SeqNetwork:
    torch.manual_seed(0)
    facts: dict[str, Any] = {"vocabulary_size": 9} if "in_channels" not in keys else {}
    usual = {"num_outputs": OUTPUTS, "begin": BEGIN, "token": 6, "units": 7, "dropout": 0.0, "attention": attention}
    arguments: dict[str, Any] = usual | facts | keys
    return MAKERS[kind](**arguments).eval()


def ids(lengths: Tensor, most: int, seed: int) -> Sequences:
    values = torch.randint(3, most, (len(lengths), int(lengths.max())), generator=torch.Generator().manual_seed(seed))
    return Sequences(values * (torch.arange(values.shape[1]) < lengths[:, None]), lengths)


def batch() -> Batch:
    targets = ids(TARGETS, OUTPUTS, 2)
    values = targets.values.clone()
    values[torch.arange(5), TARGETS - 1] = END
    return Batch(ids(LENGTHS, 9, 1), Sequences(values, TARGETS), torch.arange(5))


def called(model: nn.Module, given: Batch) -> Tensor:
    sources, targets = given.inputs, given.targets
    assert isinstance(sources, Sequences) and isinstance(targets, Sequences)
    previous = torch.cat([torch.full((len(targets), 1), BEGIN), targets.values[:, :-1]], 1)
    return as_tensor(model(sources.values, sources.lengths, previous, targets.lengths))


WAYS = [(kind, attention) for kind in MAKERS for attention in ("none", "additive", "dot")]


@pytest.mark.parametrize(("kind", "attention"), WAYS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_and_other_rows_change_nothing(kind: str, attention: str, bidirectional: bool) -> None:
    model, given = network(kind, attention, bidirectional=bidirectional, layers=2), batch()
    sources, targets = given.inputs, given.targets
    assert isinstance(sources, Sequences) and isinstance(targets, Sequences)
    whole = called(model, given)
    padding = ~sources.mask
    dirty = Sequences(torch.where(padding, 5, sources.values), sources.lengths)
    torch.testing.assert_close(called(model, Batch(dirty, targets, given.indices)), whole, atol=1e-6, rtol=0)
    for row, (length, of_target) in enumerate(zip(LENGTHS.tolist(), TARGETS.tolist(), strict=True)):
        alone = Batch(
            Sequences(sources.values[row : row + 1, :length], LENGTHS[row : row + 1]),
            Sequences(targets.values[row : row + 1, :of_target], TARGETS[row : row + 1]),
            torch.tensor([row]),
        )
        torch.testing.assert_close(called(model, alone)[0], whole[row, :of_target], atol=1e-6, rtol=0)
    assert whole.isfinite().all()


@pytest.mark.parametrize(("kind", "attention"), WAYS)
def test_later_target_tokens_change_nothing_and_the_source_does(kind: str, attention: str) -> None:
    model, given = network(kind, attention), batch()
    targets, sources = given.targets, given.inputs
    assert isinstance(targets, Sequences) and isinstance(sources, Sequences)
    whole = called(model, given)
    for position in range(4):
        values = targets.values.clone()
        values[:, position] = 3 + values[:, position] % 4  # what is put out at `position` is shown after it
        found = called(model, Batch(given.inputs, Sequences(values, TARGETS), given.indices))
        torch.testing.assert_close(found[:, : position + 1], whole[:, : position + 1], atol=1e-6, rtol=0)
    other = sources.values.clone()
    other[0, 0] = 3 if int(other[0, 0]) != 3 else 4
    found = called(model, Batch(Sequences(other, LENGTHS), targets, given.indices))
    assert (found[0] - whole[0]).abs().max() > 1e-4
    torch.testing.assert_close(found[1:], whole[1:], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("kind", "attention"), WAYS)
def test_steps_equal_the_whole_pass(kind: str, attention: str) -> None:
    model, given = network(kind, attention, layers=2), batch()
    sources, targets = given.inputs, given.targets
    assert isinstance(sources, Sequences) and isinstance(targets, Sequences)
    whole = called(model, given)
    scores, state = model.start(sources.values, sources.lengths)
    torch.testing.assert_close(scores, whole[:, 0], atol=1e-6, rtol=0)
    order = torch.tensor([4, 0, 2, 2, 1, 3])
    state = state.select(order)
    for position in range(4):
        scores, state = model.step(targets.values[order, position], state)
        torch.testing.assert_close(scores, whole[order, position + 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_attention_is_used_and_its_maps_are_the_weights(attention: str) -> None:
    model, given = network(attention=attention), batch()
    called(model, given).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    sources, targets = given.inputs, given.targets
    assert isinstance(sources, Sequences) and isinstance(targets, Sequences)
    previous = torch.full((5, 5), BEGIN)
    weights = model.attention_maps(sources.values, LENGTHS, previous)["decoder.cross"]
    assert weights.shape == (5, 1, 5, 6)
    torch.testing.assert_close(weights.sum(-1)[:4], torch.ones(4, 1, 5))
    assert (weights[4] == 0).all()  # an empty source: zeros, not NaN
    assert (weights.masked_select(~sources.mask[:, None, None, :]) == 0).all()
    state = model.initial(sources.values, LENGTHS)
    outputs, _ = model.decoder.read(previous, state)
    context = torch.einsum("but,btm->bum", weights[:, 0], state.memory)
    assert model.decoder.attention is not None and state.keys is not None
    found = model.decoder.attention(outputs, state.keys, state.memory, state.kept)
    torch.testing.assert_close(found, context, atol=1e-6, rtol=0)
    assert network(attention="none").attention_maps(sources.values, LENGTHS, previous) == {}


def test_a_series_is_a_source_too() -> None:
    model = network(in_channels=2)
    values = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    lengths, previous = torch.tensor([4, 2, 3]), torch.full((3, 2), BEGIN)
    whole = model(values, lengths, previous)
    assert whole[:, 0].abs().sum() > 0  # the first position is computed like the others
    torch.testing.assert_close(model(values[1:2, :2], lengths[1:2], previous[:1])[0], whole[1], atol=1e-6, rtol=0)
    spec = DataSpec(SeriesSpec(2, 4), SPEC.targets)
    given = Batch(
        Sequences(values, lengths), Sequences(torch.full((3, 2), END), torch.tensor([2, 1, 2])), torch.arange(3)
    )
    assert Seq2Seq(spec=spec, loss=CrossEntropy()).predict({"model": model}, given).outputs.shape == (3, 5)


def test_the_loss_is_a_mean_over_tokens_with_the_end_and_without_padding() -> None:
    model, given, task = network(), batch(), Seq2Seq(spec=SPEC, loss=CrossEntropy())
    targets = given.targets
    assert isinstance(targets, Sequences)
    assert int(task.loss_weight("train", given)) == int(TARGETS.sum()) == 15
    log_p = called(model, given).log_softmax(-1)
    own = [-log_p[row, n, targets.values[row, n]] for row in range(5) for n in range(int(TARGETS[row]))]
    loss = task.loss("train", {"model": model}, given)
    torch.testing.assert_close(loss.value, torch.stack(own).mean())
    assert loss.parts["token_accuracy"].shape == (15,)
    found = task.predict({"model": model}, given)
    torch.testing.assert_close(found.loss, loss.value)
    assert found.loss_weight == 15
    wide = Sequences(torch.nn.functional.pad(targets.values, (0, 3), value=0), TARGETS)
    padded = task.predict({"model": model}, Batch(given.inputs, wide, given.indices))
    torch.testing.assert_close(padded.loss, loss.value)
    smooth = Seq2Seq(spec=SPEC, loss=CrossEntropy(label_smoothing=0.3)).loss("train", {"model": model}, given)
    assert smooth.value.item() != pytest.approx(loss.value.item())


def test_teacher_forcing_shows_the_own_token_where_it_is_drawn() -> None:
    model, given = network(), batch()
    targets = given.targets
    assert isinstance(targets, Sequences)
    never = Seq2Seq(spec=SPEC, loss=CrossEntropy(), teacher_forcing=0.0)
    scores = never._fed_back(model, given.inputs, targets)
    shown, own = torch.full((5, 1), BEGIN), scores.argmax(-1)
    previous = torch.cat([shown, own[:, :-1]], 1)
    sources = given.inputs
    assert isinstance(sources, Sequences)
    torch.testing.assert_close(scores, model(sources.values, LENGTHS, previous), atol=1e-6, rtol=0)
    half = Seq2Seq(spec=SPEC, loss=CrossEntropy(), teacher_forcing=0.5)
    values = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        values.append(half.loss("train", {"model": model}, given).value.item())
    assert values[0] == values[1] != values[2]
    losses = [task.predict({"model": model}, given).loss.item() for task in (never, half)]
    assert (
        losses[0]
        == losses[1]
        == pytest.approx(Seq2Seq(spec=SPEC, loss=CrossEntropy()).loss("train", {"model": model}, given).value.item())
    )


def test_teacher_forcing_falls_with_the_epoch_alone() -> None:
    task = Seq2Seq(
        spec=SPEC, loss=CrossEntropy(), teacher_forcing=1.0, teacher_forcing_end=0.2, teacher_forcing_epochs=4
    )
    assert [round(task.ratio(epoch), 6) for epoch in range(6)] == [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]
    task.begin_phase(3, 17)
    resumed = Seq2Seq(
        spec=SPEC, loss=CrossEntropy(), teacher_forcing=1.0, teacher_forcing_end=0.2, teacher_forcing_epochs=4
    )
    resumed.begin_phase(3, 17)
    assert task._now == resumed._now == pytest.approx(0.4)


def test_a_network_that_reads_all_targets_at_once_takes_full_teacher_forcing_alone() -> None:
    class AtOnce(Seq2SeqNetwork):
        feeds_back = False

    model = network()
    model.__class__ = AtOnce
    task = Seq2Seq(spec=SPEC, loss=CrossEntropy(), teacher_forcing=0.9)
    with pytest.raises(ConfigError, match=r"task.teacher_forcing=1") as caught:
        task.predict({"model": model}, batch())
    assert caught.value.problems[0].where == "task.teacher_forcing"
    Seq2Seq(spec=SPEC, loss=CrossEntropy()).predict({"model": model}, batch())
    with pytest.raises(ConfigError, match="seq2seq_lstm"):
        Seq2Seq(spec=SPEC, loss=CrossEntropy()).predict({"model": nn.Linear(2, 2)}, batch())


def _report(sizes: list[int], names: tuple[str, ...] = ()) -> tuple[dict[str, float], Report]:
    bundle = reverse(length=5, vocabulary=6, num_samples=60)
    targets, part = bundle.spec.targets, bundle.splits["train"]
    assert isinstance(targets, TokenTargetSpec)
    torch.manual_seed(0)
    model = seq2seq_gru(
        num_outputs=targets.num_outputs, begin=targets.begin, vocabulary_size=9, units=8, token=4
    ).eval()
    task = Seq2Seq(spec=bundle.spec, loss=CrossEntropy())
    states = [task.report_state() for _ in range(2)]
    start = 0
    with torch.inference_mode():
        for number, size in enumerate(sizes):
            ((inputs, wanted),) = part.read([slice(start, start + size)])
            given = Batch(inputs, wanted, part.indices[start : start + size])
            states[number % 2].update(task.predict({"model": model}, given))
            start += size
    states[0].merge(states[1])
    return states[0].compute(), task.report(bundle.spec, states[0])


def test_figures_do_not_depend_on_the_batches() -> None:
    one, other = _report([24]), _report([7, 16, 1])
    assert one[0] == pytest.approx(other[0])
    for name, value in one[1].metrics.items():
        assert other[1].metrics[name] == pytest.approx(value), name
    assert one[1].metrics["log_loss"] == pytest.approx(one[0]["loss"])
    assert one[1].metrics["token_accuracy"] == pytest.approx(one[0]["token_accuracy"])


def test_bleu_and_chrf_are_those_of_sacrebleu_with_its_signature() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    _, report = _report([24])
    rows = list(report.tables["predictions"].rows)
    header = list(report.tables["predictions"].header)
    found, truth = ([row[header.index(name)] for row in rows] for name in ("predicted", "true"))
    assert report.metrics["bleu"] == pytest.approx(sacrebleu.corpus_bleu(found, [truth]).score)
    assert report.metrics["chrf"] == pytest.approx(sacrebleu.corpus_chrf(found, [truth]).score)
    assert "version:" in report.facts["signatures"]["bleu"]
    for one in report.figures.values():
        assert np.allclose(next(iter(one.maps.values())).sum(-1), 1, atol=1e-5)  # type: ignore[union-attr]


def ended(words: list[str]) -> object:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code


WORDS = (
    "data=reverse",
    "data.num_samples=60",
    "data.length=4",
    "data.vocabulary=5",
    "model=seq2seq_gru",
    "model.units=8",
)
SHORT = ("trainer.epochs=2", "trainer.device=cpu", "data.batch_size=16", "-q")


def test_a_run_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended(["train", *WORDS, *SHORT, "task.teacher_forcing=0.7", "metrics=[chrf]", "-o", "run"]) == 0
    assert ended(["evaluate", "run", "-q"]) == 0
    folder = tmp_path / "run" / "eval" / "test"
    report = json.loads((folder / "report.json").read_text())
    assert {"loss", "token_accuracy", "exact_match", "chrf", "bleu"} <= set(report["metrics"])
    assert {"low", "high"} <= set(report["intervals"]["exact_match"])
    assert report["attention"]["decoder.cross"]["mass_near_peak"]
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and all(row["true"].split() == row["source"].split()[::-1] for row in rows)
    assert ended(["export", "run", "--to", "safetensors"]) == 2
    assert "token by token" in capsys.readouterr().err
    assert ended(["predict", "run", "--text", "1 2", "--text", "3", "--beam", "3", "-o", "out.tsv", "-q"]) == 0
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["input", "row", "predicted"] and len(lines) == 3
    assert ended(["predict", "run", "--text", "1 2", "--beam", "3", "--top-k", "2"]) == 2
    (tmp_path / "new.tsv").write_text("source\n1 2\n\n99\n")
    assert ended(["predict", "run", "new.tsv", "--top-p", "0.9", "-o", "new.csv", "-q"]) == 3  # a row is not known


def test_options_of_generation_have_no_effect_on_other_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["data=adding", "data.num_samples=60", "data.length=6", "model=gru", "model.units=4", *SHORT]
    assert ended(["train", *words, "-o", "run"]) == 0
    assert ended(["evaluate", "run", "-q"]) == 0
    np.save("new.npy", np.zeros((2, 6, 2), dtype=np.float32))
    assert ended(["predict", "run", "new.npy", "--beam", "2"]) != 0
