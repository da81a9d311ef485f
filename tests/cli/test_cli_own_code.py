"""An exception of the user's own code, after the trial batch too, is an error with a code, the file and the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sick_package import WORDS, install

from dlexp.cli.app import main

BUG = ("train", *WORDS, "model.fault=bug", "--run-dir", "run")


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)


def test_an_exception_in_training_is_told_with_its_line_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*BUG, "--json"])
    assert stopped.value.code == 1
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (error["kind"], error["code"], error["exit_code"]) == ("DlexpError", "failed", 1)
    lines = Path("sick_net/__init__.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "a bug of my own" in text)
    assert f"sick_net/__init__.py:{line}" in error["message"] and "a bug of my own" in error["message"]
    assert "Traceback" not in err and "DLEXP_DEBUG=1" in err
    assert any("dlexp replay run/crash --trust sick_net" in note for note in error["notes"])


def test_the_traceback_is_there_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_DEBUG", "1")
    with pytest.raises(ValueError, match="a bug of my own"):
        main(list(BUG))


def test_a_bug_outside_of_it_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlexp.workflows.train import train

    def broken(*_: object) -> None:
        raise ValueError("a bug of dlexp")

    monkeypatch.setattr(train, "course", broken)
    with pytest.raises(ValueError, match="a bug of dlexp"):
        main(list(BUG))


def test_list_says_which_file_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    Path("conf/model/broken.yaml").write_text("width: [3\n")
    with pytest.raises(SystemExit):
        main(["list", "model", "--config-dir", "conf", "--json"])
    found = json.loads(capsys.readouterr().out)["model"]
    assert found["broken"].startswith("cannot be used: ") and found["sick"] == "A network that goes wrong"
