"""A metric without a value says why after training, on the page of the run, and where it is to decide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlexp.cli.app import main

WORDS = ("train", "data=series", "data.path=flat.csv", "data.target=y", "data.window=3", "data.horizon=1", "model=mlp")
FEW = ("data.period=40", "trainer.epochs=1", "trainer.threads=1", "trainer.test=true", "model.hidden=[4]", "-q")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat.csv").write_text("t,y\n" + "\n".join(f"{n},{n % 7}" for n in range(40)) + "\n")


def code_of(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_mase_without_a_season_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    _run(*WORDS, *FEW)
    shown = capsys.readouterr().out
    reason = "no series changes over a season within its training part"
    assert f"undefined: val/mase, test/mase: {reason}" in shown
    assert "nan" not in shown
    summary = json.loads(Path("outputs/latest/summary.json").read_text())
    assert summary["undefined"] == {"val/mase": reason, "test/mase": reason}
    _run("report", "latest")
    page = next(Path("outputs").resolve().rglob("report.html")).read_text()
    assert f"val/mase is undefined: {reason}." in page


def test_a_metric_without_a_value_decides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(*WORDS, *FEW, "trainer.monitor=val/mase") == 2
    assert "Set trainer.monitor=val/loss" in capsys.readouterr().err


def _run(*words: str) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert not stopped.code
