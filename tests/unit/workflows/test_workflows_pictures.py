"""A picture is drawn the same whatever the environment says, and one that cannot be drawn fails no command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from run_toys import write_predictions, write_run

from dlexp.cli.app import main
from dlexp.errors import DataError, DlexpError
from dlexp.workflows.pictures import Pictures, curves, draw_picture

pytestmark = pytest.mark.pictures

ROWS = [{"epoch": str(n), "train/loss": str(1 / n), "val/loss": str(2 / n), "lr": "0.1"} for n in (1, 2, 3)]
DRAWS = """
import sys
from pathlib import Path
from dlexp.workflows.pictures import curves, draw_picture
rows = [{"epoch": str(n), "train/loss": str(1 / n), "val/loss": str(2 / n), "lr": "0.1"} for n in (1, 2, 3)]
Path(sys.argv[1]).write_bytes(draw_picture("curves.png", lambda: curves(list(rows[0]), rows, 3, "val/loss")))
"""
RC = "text.usetex: True\nsavefig.format: pdf\nsavefig.bbox: tight\nsavefig.dpi: 7\nfigure.facecolor: black\n"


def broken(*words: Any, **more: Any) -> bytes:
    raise RuntimeError("no font\nand more")


def test_environment_and_matplotlibrc_decide_nothing(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(RC)
    environment = {**os.environ, "MPLBACKEND": "module://nowhere.backend_inline"}
    subprocess.run([sys.executable, "-c", DRAWS, "foreign.png"], check=True, env=environment, cwd=tmp_path)
    own = draw_picture("curves.png", lambda: curves(list(ROWS[0]), ROWS, 3, "val/loss"))
    assert (tmp_path / "foreign.png").read_bytes() == own


def test_one_that_cannot_be_drawn_is_told_and_an_old_one_goes(tmp_path: Path) -> None:
    pictures, path = Pictures(), tmp_path / "a.png"
    assert pictures.write(path, lambda: b"new")
    assert path.read_bytes() == b"new"
    assert not pictures.write(path, broken)
    assert not path.exists()
    (tmp_path / "file").touch()
    assert not pictures.write(tmp_path / "file" / "b.png", lambda: b"new")  # as where the disk is full
    assert pictures.draw("c", broken) is None
    first, second, third = pictures.undrawn
    assert first.startswith("a.png ") and first.endswith(": RuntimeError: no font")
    assert "is a file" in second and third.startswith("c ") and third.endswith(": RuntimeError: no font")
    assert pictures.facts() == {"undrawn": [first, second, third]}
    assert Pictures().facts() == {}


def test_error_of_the_data_stays_one() -> None:
    def refuse() -> bytes:
        raise DataError("cannot be read")

    with pytest.raises(DataError):
        draw_picture("a.png", refuse)
    with pytest.raises(DlexpError, match=r"^a\.png .*: RuntimeError: no font$"):
        draw_picture("a.png", broken)


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_training_and_its_evaluation_end_well_without_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dlexp.report.figures.curves.curves_png", broken)
    monkeypatch.setattr("dlexp.report.figures.evaluation.roc_png", broken)
    words = ["model=perceptron", "data=iris", "trainer.epochs=1", "trainer.test=true", "--run-dir", "r", "--quiet"]
    assert ended("train", *words) == 0
    captured = capsys.readouterr()
    assert "curves.png" in captured.err and "roc.png" in captured.err and captured.err.count("no font") == 2
    assert "plots/curves.png" not in captured.out and "metrics.csv" in captured.out
    assert json.loads(Path("r/status.json").read_text())["state"] == "finished"
    assert "test" in json.loads(Path("r/summary.json").read_text())
    assert Path("r/eval/test/confusion.png").is_file() and not Path("r/eval/test/roc.png").exists()
    report = json.loads(Path("r/eval/test/report.json").read_text())
    assert [text.partition(" ")[0] for text in report["undrawn"]] == ["roc.png"]
    assert "curves.png" in Path("r/train.log").read_text()
    monkeypatch.setattr("dlexp.report.figures.data_check.check_png", broken)
    assert ended("data", "check", "data=iris") in (0, 3)
    assert "check.png" in capsys.readouterr().err
    assert json.loads(Path("check.json").read_text())["files"] == ["check.json"]
    monkeypatch.setattr("dlexp.report.figures.samples.columns_png", broken)  # the picture is what was asked for
    assert ended("data", "preview", "data=iris", "--out", "p.png") == 1
    assert "p.png" in capsys.readouterr().err


def test_comparison_is_told_without_its_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dlexp.report.figures.compared.run_overlay.overlay_png", broken)
    for name, lr in (("a", 0.1), ("b", 0.2)):
        write_predictions(write_run(tmp_path / name, lr=lr), [True, False, True, True])
    assert ended("compare", "a", "b", "--save") == 0
    assert "curves.png" in capsys.readouterr().out
    assert ended("report", "a", "b", "--out", "page.html") == 0
    assert "curves could not be drawn." in Path("page.html").read_text()
    capsys.readouterr()
    assert ended("compare", "a", "b", "--plot", "c.png") == 1  # the picture is what was asked for
    assert "c.png" in capsys.readouterr().err
