"""Runs of sequence tasks are compared by their own metrics, each as evaluated, over sentences, texts and windows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from dlexp.cli.app import main
from dlexp.errors import ConfigError
from dlexp.metrics.tokens.corpus_scores import OF_TEXTS, corpus_metric, text_influence
from dlexp.workflows.compare.compare import CompareOptions, Comparison, compare
from dlexp.workflows.compare.sequence_scores import quotient

KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, str], str]] = {
    "pairs": (
        ("data=dates", "data.num_samples=60", "model.token=8", "model.units=8"),
        ("seq2seq_lstm", "seq2seq_gru"),
        "exact_match token_accuracy log_loss bleu chrf",
    ),
    "texts": (
        ("data=corpus", "data.path=book.txt", "data.window=16", "data.unit=character", "model.units=8"),
        ("gru", "lstm"),
        "bits_per_token bits_per_byte perplexity accuracy loss",
    ),
    "tags": (
        ("data=entities", "data.num_samples=60", "model.units=8"),
        ("gru", "lstm"),
        "entity_f1 accuracy entity_precision entity_recall",
    ),
    "sounds": (("data=tones", "data.num_samples=60", "model.units=8"), ("gru", "lstm"), "cer wer exact_match"),
    "forecasts": (
        ("data=stocks", "loss=quantile", "data.window=8", "data.horizon=2", "model.units=4"),
        ("gru", "lstm"),
        "mae rmse mase smape pinball",
    ),
}
MORE = ("trainer.epochs=1", "trainer.test=true", "trainer.threads=1", "seed=1", "-q")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sequences")


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def trained(kind: str, model: str) -> Path:
    """A run of a kind, trained once."""
    found = Path("outputs/train", f"{kind}-{model}")
    if not found.exists():
        rng = np.random.default_rng(0)
        words = ["red", "green", "blue", "house", "tree", "sea", "walks", "sings"]
        lines = [" ".join(rng.choice(words, size=8)) + "." for _ in range(60)]
        Path("book.txt").write_text("\n\n".join(lines))
        try:
            main(["train", *KINDS[kind][0], f"model={model}", *MORE, "--run-id", found.name])
        except SystemExit as stopped:
            assert not stopped.code
    return found.resolve()


def compared(kind: str, **options: str) -> Comparison:
    runs = [trained(kind, model) for model in KINDS[kind][1]]
    return compare(runs, CompareOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "metric"), [(kind, m) for kind in KINDS for m in KINDS[kind][2].split()])
def test_the_difference_is_that_of_the_evaluations(kind: str, metric: str) -> None:
    reports = [json.loads((trained(kind, m) / "eval/test/report.json").read_text()) for m in KINDS[kind][1]]
    values = [report["metrics"][metric] for report in reports]
    if None in values:  # entities of which none was predicted
        with pytest.raises(ConfigError) as error:
            compared(kind, metric=metric)
        refused(error.value, "incompatible-data", "--metric", "dlexp evaluate")
        return
    found = compared(kind, metric=metric)
    (pair,) = found.pairs
    assert found.samples == reports[0]["samples"]
    assert (pair.difference.about, found.metric) == ("samples", f"test/{metric}")
    better = max if found.maximize else min
    ahead = values.index(better(values))
    # bytes of a window are written with three digits
    assert pair.difference.value == pytest.approx(values[ahead] - values[1 - ahead], rel=1e-3, abs=1e-9)
    assert pair.difference.low <= pair.difference.value <= pair.difference.high


@pytest.mark.parametrize("kind", KINDS)
def test_the_usual_metric_is_that_of_the_task(kind: str) -> None:
    metric = KINDS[kind][2].split()[0]
    assert compared(kind).metric == f"test/{metric}"
    in_percent = metric in ("exact_match", "entity_f1", "cer")
    assert (f"points of {metric}" in compared(kind).verdict) == in_percent


def test_windows_of_a_text_are_said_to_depend_on_each_other() -> None:
    assert any("resemble their neighbors" in note for note in compared("texts").notes)
    assert not any("resemble their neighbors" in note for note in compared("tags").notes)


def test_only_answers_that_are_right_or_wrong_have_mcnemars_test() -> None:
    assert compared("pairs").pairs[0].mcnemar is not None
    assert compared("tags", metric="accuracy").pairs[0].mcnemar is None


def test_a_metric_of_another_task_names_those_there_are() -> None:
    with pytest.raises(ConfigError) as error:
        compared("sounds", metric="bleu")
    assert "cer, wer, exact_match" in str(error.value)


def test_a_quotient_has_the_spread_of_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 40, size=400).astype(float)
    right = rng.binomial(tokens.astype(int), 0.3).astype(float)
    scores = quotient(right, tokens)
    assert scores.mean() == pytest.approx(right.sum() / tokens.sum())
    places = rng.integers(400, size=(2000, 400))
    drawn = right[places].sum(1) / tokens[places].sum(1)
    assert scores.std() / 20 == pytest.approx(drawn.std(), rel=0.1)
    assert abs(scores.std() - (right / tokens).std()) > 0.01  # a mean over samples of their shares is another metric


@pytest.mark.parametrize("name", OF_TEXTS)
def test_the_influence_of_texts_is_that_of_sacrebleu(name: str) -> None:
    rng = np.random.default_rng(0)
    words = np.array(
        ["the", "cat", "sat", "on", "a", "mat", "and", "a", "dog", "lay", "by", "the", "door", "in", "rain"]
    )
    true = [" ".join(rng.choice(words, size=9)) for _ in range(120)]
    found = [" ".join(w if rng.random() < 0.7 else "x" for w in text.split()) for text in true]
    scores, metric = text_influence(name, found, true), corpus_metric(name)
    assert scores.mean() == pytest.approx(metric.corpus_score(found, [true]).score)
    drawn = []
    for _ in range(200):
        rows = rng.integers(120, size=120)
        drawn.append(metric.corpus_score([found[n] for n in rows], [[true[n] for n in rows]]).score)
    assert scores.std() / 120**0.5 == pytest.approx(np.std(drawn), rel=0.25)


def of_file(name: str, *words: str) -> Path:
    """A run of a series in a file, trained once."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + np.arange(80)
    rows = [f"{day},{value:.3f},{other:.3f}" for day, value, other in zip(days, *rng.random((2, 80)), strict=True)]
    Path("sales.csv").write_text("\n".join(["day,sales,price", *rows]))
    run = Path("outputs/train", name)
    line = ["data=series", "data.path=sales.csv", "data.window=8", "data.horizon=2", "model=gru", "model.units=4"]
    try:
        main(["train", *line, *words, *MORE, "--run-id", run.name])
    except SystemExit as stopped:
        assert not stopped.code
    return run.resolve()


def test_forecasts_of_the_same_targets_are_compared_whatever_their_inputs_are() -> None:
    alone = of_file("alone", "data.target=sales")
    beside = of_file("beside", "data.target=sales", "data.past=[price]")
    found = compare([alone, beside], CompareOptions())
    assert (found.metric, [setting.key for setting in found.settings]) == ("test/mae", ["data.past"])
    later = of_file("later", "data.target=sales", "data.past=[price]", "data.test_fraction=0.2")
    other = of_file("other", "data.target=price")
    for run in (later, other):
        with pytest.raises(ConfigError) as error:
            compare([alone, run], CompareOptions())
        refused(error.value, "incompatible-data", str(run), "dlexp runs --data")


def test_a_table_of_forecasts_tells_when_its_windows_are() -> None:
    with (of_file("when", "data.target=sales") / "eval/test/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time"] for row in rows[:2]] == ["2024-03-09", "2024-03-10"]
    assert rows[-1]["time"] == "2024-03-19"  # the horizon ends with the series
