"""The first line typed on a messy table trains, and its rows are predicted to the answers of the plain one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from made_files import messy_tables

from dlexp.cli.app import main

FEW = ("semicolons.csv", "excel unicode.txt", "windows.csv", "aligned.txt", "packed.zip", "book.xlsx", "records.json")


def run(*words: str) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert not stopped.code, words


def answers(name: str) -> list[tuple[str, float]]:
    """Train on a table and predict its rows: (class, confidence) of each."""
    path = str(messy_tables.write(name))
    run("train", "data=csv", f"data.path='{path}'", "data.target=bought", "trainer.epochs=1", "--run-id", "one", "-q")
    run("predict", "one", path, "--out", f"{name}.out.csv")
    with Path(f"{name}.out.csv").open(newline="") as file:
        return [(row["predicted"], float(row["confidence"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, float]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("plain"))
        return answers("plain.csv")


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.exhaustive) for name in messy_tables.TABLES]
)
def test_a_messy_table_trains_and_predicts(
    name: str, plain: list[tuple[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = answers(name)
    assert len(found) == messy_tables.ROWS
    if name != "quoted newlines.csv":  # its cities have other names
        assert found == plain
