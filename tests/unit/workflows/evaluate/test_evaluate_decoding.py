"""How a finished run puts out sequences may change in its evaluation and prediction, and the report says so."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dlexp.cli.app import main
from dlexp.workflows.compare.compare import CompareOptions, compare

WORDS = ("data=dates", "data.num_samples=300", "model=seq2seq_gru", "optim.lr=0.01")
FEW = ("trainer.epochs=3", "trainer.threads=1", "-q")


def run(*words: str, code: int = 0) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoding")


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    if not Path("outputs").exists():
        run("train", *WORDS, *FEW, "--run-id", "dates")
        run("train", *WORDS, *FEW, "--run-id", "wide", "task.beam=3", "seed=1")
        run("train", "data=tones", "data.num_samples=40", "model=gru", "model.units=8", *FEW, "--run-id", "tones")


def evaluated(name: str, *words: str) -> tuple[dict[str, Any], list[str]]:
    """(report, predictions)."""
    run("evaluate", name, *words, "-q")
    folder = Path("outputs/train", name, "eval/test")
    with (folder / "predictions.csv").open(newline="") as file:
        return json.loads((folder / "report.json").read_text()), [row["predicted"] for row in csv.DictReader(file)]


def scores(name: str) -> list[float]:
    with Path("outputs/train", name, "eval/test/predictions.csv").open(newline="") as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


def test_beams_find_more_probable_sequences_without_training(capsys: pytest.CaptureFixture[str]) -> None:
    report, greedy = evaluated("dates")
    assert not any(change["path"].startswith("task.") for change in report["changed_since_training"])
    before = sum(scores("dates"))
    run("evaluate", "dates", "task.beam=4", "task.length_penalty=0")
    assert "changed since training: task.beam: 1 -> 4" in capsys.readouterr().out
    assert sum(scores("dates")) > before
    other, wide = evaluated("dates", "task.beam=4", "task.length_penalty=0")
    assert wide != greedy
    assert other["metrics"]["log_loss"] == report["metrics"]["log_loss"]  # true tokens are shown there
    changed = {c["path"]: (c["before"], c["after"]) for c in other["changed_since_training"]}
    assert changed["task.beam"] == (1, 4)
    assert changed["task.length_penalty"] == (1.0, 0)
    runs = [Path("outputs/train", name) for name in ("dates", "wide")]
    evaluated("wide")
    notes = compare(runs, CompareOptions(metric="token_accuracy")).notes
    assert any("dates was evaluated with task.beam=4 (trained with 1)" in note for note in notes)


def test_drawn_sequences_are_the_same_each_time() -> None:
    first, second = (evaluated("dates", "task.temperature=2.0")[1] for _ in range(2))
    assert first == second
    assert first != evaluated("dates")[1]


def test_recognition_has_its_alternatives(capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = evaluated("tones", "task.beam=3")
    assert any(change["path"] == "task.beam" for change in report["changed_since_training"])
    run("predict", "tones", "x.ts", "--beam", "3", code=2)
    assert "Set task.beam=3" in capsys.readouterr().err


def test_prediction_takes_the_settings_of_the_run_and_of_its_line() -> None:
    Path("one.txt").write_text("3 May 2021\n12/14/2035\n")

    def predicted(name: str, *words: str) -> str:
        run("predict", name, "one.txt", "--out", "out.csv", "--force", "-q", *words)
        return Path("out.csv").read_text()

    assert predicted("dates", "task.beam=4") == predicted("dates", "--beam", "4") != predicted("dates")
    assert predicted("wide") == predicted("wide", "--beam", "3") != predicted("wide", "task.beam=1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("task.beam=0",), "must be a whole number >= 1"),
        (("task.beam=4", "task.temperature=0.7"), "cannot be combined with task.temperature"),
        (("task.beem=4",), "Did you mean task.beam?"),
        (("task.teacher_forcing=0.5",), "cannot be overridden for a finished run"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate", "dates", *words, code=2)
    assert said in capsys.readouterr().err
