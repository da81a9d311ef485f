"""Errors of the command-line parser: as JSON for `--json`, and with what was meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test starts in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(*words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("trian",), "unknown-command"),
        (("data", "chekc"), "unknown-command"),
        (("train", "--optim.lr=3"), "unknown-option"),
        (("predict",), "missing-value"),
        (("tune", "-n", "0"), "invalid-value"),
        (("list", "model", "mlp"), "invalid-syntax"),
    ],
    ids=str,
)
def test_json_has_an_error_of_the_parser_too(
    words: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(*words, "--json")
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert (error["code"], error["kind"], error["exit_code"]) == (code, "ConfigError", 2)
    assert error["message"].partition(": ")[0] in captured.err
    ended(*words)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("train", "--optim.lr=3"), "Type: dlexp train optim.lr=3"),
        (("train", "--epochs", "3"), "Type: dlexp train trainer.epochs=3"),
        (("runs", "delete", "x"), "dlexp runs rm"),
        (("runs", "list"), "dlexp runs"),
    ],
    ids=str,
)
def test_what_was_meant_is_named(words: tuple[str, ...], remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended(*words)
    assert remedy in capsys.readouterr().err.splitlines()[-1]


def test_a_value_with_a_mistake_is_not_missing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--json", "data=csv", "data.target=y", "data.path=a file's.csv"])
    problems = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert [(problem["where"], problem["code"]) for problem in problems] == [("data.path", "invalid-syntax")]


def test_spaces_around_the_equals_sign_are_one_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    error = line_refused(
        capsys, "train", "optim.lr", "=", "0.1", "=", code="invalid-syntax", where="optim.lr", remedy="optim.lr=0.1"
    )
    assert len(error["problems"]) == 2  # the other one is the = at the end


def test_an_option_without_a_target_names_its_file(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "conf" / "model").mkdir(parents=True)
    (empty_folder / "conf" / "model" / "mine.yaml").write_text("# mine\nwidth: 3\n")
    line = ("train", "--config-dir", "conf", "model=mine")
    line_refused(capsys, *line, code="missing-value", where="model._target_", remedy="model/mine.yaml")
