"""Runs of texts through the commands: predictions equal an evaluation, resumed bits, other data, bad words."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_files.text_toys import reviews, write_folder, write_reviews
from refusals import line_refused

import dlexp
from dlexp.artifacts.files.reading import read_bytes
from dlexp.cli.app import main
from dlexp.errors import DataError

SHORT = ("model=lstm", "model.units=8", "data.eval_batch_size=7", "trainer.device=cpu", "-q")
TABLE = ("data=text", "data.path=r.csv", "data.text=review", "data.target=stars", "data.min_count=1")


def run(*words: str, code: int = 0) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a table of texts, one of a folder, and one of scores; then the data are moved away."""
    folder = tmp_path_factory.mktemp("texts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = reviews()
        write_reviews(Path("r.csv"), rows)
        write_folder(Path("files"), rows)
        run("train", *TABLE, *SHORT, "trainer.epochs=2", "--run-id", "table")
        run("train", *TABLE[:3], "data.target=score", *TABLE[4:], *SHORT, "trainer.epochs=1", "--run-id", "scores")
        run(
            "train", "data=text", "data.path=files", "data.min_count=1", *SHORT, "trainer.epochs=1", "--run-id", "files"
        )
        run("evaluate", "table")
        run("evaluate", "scores")
        Path("away").mkdir()
        Path("r.csv").rename("away/r.csv")
        Path("files").rename("away/files")
    return folder


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(home)
    yield home


def test_predictions_of_the_training_file_are_those_of_the_evaluation(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("predict", "table", "away/r.csv", "-q")
    found = rows_of(capsys.readouterr().out)
    known = rows_of(Path("outputs/train/table/eval/test/predictions.csv").read_text())
    assert len(found) == 120 and len(known) == 24
    for row in known:
        mine = found[int(row["row"])]
        assert mine["predicted"] == row["predicted"] and mine["error"] == ""
        assert float(mine["confidence"]) == pytest.approx(float(row["confidence"]), abs=1e-6)


def test_texts_come_as_words_lines_tables_and_standard_input(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a great film", "the boring plot, with zzz", "the end"]
    run("predict", "table", *(word for text in texts for word in ("--text", text)))
    captured = capsys.readouterr()
    said = rows_of(captured.out)
    assert [row["input"] for row in said] == texts and "'zzz'" in captured.err
    expected = [(row["predicted"], row["confidence"]) for row in said]
    Path("new.txt").write_text("\n".join(texts) + "\n")
    pd.DataFrame({"review": texts, "more": 1}).to_csv("new.tsv", sep="\t", index=False)
    pd.DataFrame({"review": texts}).to_json("new.jsonl", orient="records", lines=True)
    for name in ("new.txt", "new.tsv", "new.jsonl"):
        run("predict", "table", name, "-q")
        found = rows_of(capsys.readouterr().out)
        assert [(row["predicted"], row["confidence"]) for row in found] == expected, name
    for content in (Path("new.txt").read_bytes(), Path("new.tsv").read_bytes(), Path("new.jsonl").read_bytes()):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        run("predict", "table", "-", "-q")
        found = rows_of(capsys.readouterr().out)
        assert [(row["predicted"], row["confidence"]) for row in found] == expected
    by_python = dlexp.load("table").predict(texts)
    assert by_python["predicted"].tolist() == [row["predicted"] for row in said]
    frame = pd.DataFrame({"review": texts}, index=pd.Index([7, 8, 9]))
    assert dlexp.load("table").predict(frame).index.tolist() == [7, 8, 9]


def test_a_text_file_is_one_text_for_a_run_of_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("two.txt").write_text("a great film\nthe dull end\n")
    run("predict", "files", "two.txt", "-q")
    assert len(rows_of(capsys.readouterr().out)) == 1
    run("predict", "table", "two.txt", "-q")
    assert len(rows_of(capsys.readouterr().out)) == 2
    run("predict", "files", "away/files", "-q")
    assert len(rows_of(capsys.readouterr().out)) == 120


def test_unusable_texts_keep_their_rows_with_the_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.txt").write_text("great\n\nqqq xxx\nweak end\n")
    run("predict", "table", "bad.txt", code=3)
    found = rows_of(capsys.readouterr().out)
    assert [bool(row["error"]) for row in found] == [False, True, True, False]
    assert "line 2" in found[1]["error"] and found[1]["predicted"] == ""
    pd.DataFrame({"text": ["x"]}).to_csv("other.csv")
    with pytest.raises(DataError) as error:
        dlexp.load("table").predict("other.csv")
    assert error.value.code == "incompatible-data" and "review" in str(error.value)


def test_runs_of_other_data_refuse_texts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("train", "data=iris", "trainer.epochs=1", "--run-id", "iris", "-q")
    line_refused(capsys, "predict", "iris", "--text", "great", code="not-supported")


def test_other_data_is_read_with_the_vocabulary_of_the_run(here: Path) -> None:
    first = json.loads(Path("outputs/train/table/eval/test/report.json").read_text())["metrics"]
    rows = reviews(120)
    write_reviews(Path("same.csv"), [(f"{text} qqq", label, score) for text, label, score in rows])
    run("evaluate", "table", "data.path=same.csv", "--allow-changes")
    other = json.loads(Path("outputs/train/table/eval/test/report.json").read_text())
    assert not other["data_as_trained"] and np.isfinite(other["metrics"]["loss"])
    write_reviews(Path("same.csv"), rows)
    run("evaluate", "table", "data.path=same.csv")
    again = json.loads(Path("outputs/train/table/eval/test/report.json").read_text())["metrics"]
    assert again == first


def test_mistakes_have_their_texts_and_the_page_shows_them(here: Path) -> None:
    rows = reviews()
    lines = rows_of(Path("outputs/train/scores/eval/test/mistakes.csv").read_text())
    assert len(lines) == 24 and all(line["text"] == rows[int(line["row"])][0] for line in lines)
    run("report", "scores")
    assert lines[0]["text"] in Path("outputs/train/scores/report.html").read_text()


def test_a_run_that_is_continued_has_the_bits_of_one_that_was_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_reviews(Path("r.csv"), reviews(200))
    words = (*TABLE, *SHORT, "data.batch_size=4", "scheduler=constant")
    run("train", *words, "trainer.epochs=3", "--run-id", "whole")
    run("train", *words, "trainer.epochs=1", "--run-id", "part")
    run("train", "--resume", "part", "trainer.epochs=3", "-q")
    whole, part = (
        torch.load(io.BytesIO(read_bytes(Path(f"outputs/train/{name}/checkpoints/last.pt"))), weights_only=True)
        for name in ("whole", "part")
    )
    for name, value in whole["networks"].items():
        assert torch.equal(value, part["networks"][name]), name


def test_data_commands_and_an_exported_file(here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("data=text", "data.path=away/r.csv", "data.target=stars")
    run("data", "check", *words, "--out", str(tmp_path), "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["counts"]["error"] == 0 and (tmp_path / "check.png").exists()
    run("data", "preview", *words)
    assert "positive" in capsys.readouterr().out
    pytest.importorskip("onnxruntime")
    run("export", "table", "--out", str(tmp_path / "m.onnx"))
    vocabulary = json.loads((tmp_path / "m.vocabulary.json").read_text())
    assert vocabulary["unit"] == "word" and {"great", "dull"} <= set(vocabulary["tokens"])


def test_checks_find_copies_contradictions_and_words_that_give_a_class_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(f"spam {text}" if label == "negative" else text, label, score) for text, label, score in reviews()]
    text, label, score = rows[0]
    write_reviews(Path("r.csv"), [*rows, *rows[:60], (text, "negative", score), ("", label, score)])
    run("data", "check", *TABLE, "--json", code=3)
    kinds = {one["kind"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert {"duplicates across splits", "conflict", "leak", "unusable texts"} <= kinds.keys()
    assert "'spam'" in kinds["leak"]["where"][0] and kinds["unusable texts"]["where"] == ["line 183 (empty)"]


def test_an_empty_text_is_told_by_its_row(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("predict", "table", "--text", "great", "--text", "", code=3)
    assert "row 1: the text is empty" in capsys.readouterr().err
