"""A refused change of a run that is resumed leaves every file as it was, whatever way it is resumed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main

LINE = ("train", "-q", "data=iris", "model=mlp", "model.hidden=[4]", "trainer.device=cpu", "seed=0")


def dlexp(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    captured = capsys.readouterr()
    assert (stopped.value.code or 0) == code, captured.err
    return captured.err


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_fewer_epochs_than_are_trained_are_refused_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(capsys, *LINE, "trainer.epochs=4", "--run-id", "r")
    before = hashes(Path("outputs"))
    for line in (
        ("train", "-q", "--resume", "r", "trainer.epochs=2"),
        ("train", "-q", "--resume", "r", "trainer.epochs=2", "--allow-changes"),
        (*LINE, "trainer.epochs=2", "--run-id", "r"),
    ):
        line_refused(capsys, *line, code="incompatible-run", where="trainer.epochs", remedy="trainer.epochs=4 or more")
        assert hashes(Path("outputs")) == before
    words = ("train", "--resume", "r", "trainer.test=true")
    line_refused(capsys, *words, code="no-effect", where="trainer.test", remedy="dlexp evaluate outputs/train/r")
    path = Path("outputs/train/r/config.yaml")  # edited by hand, and allowed
    path.write_text(path.read_text().replace("epochs: 4", "epochs: 3"))
    before = hashes(Path("outputs"))
    line_refused(capsys, "train", "-q", "--resume", "r", "--allow-changes", code="incompatible-run", where="trainer.ep")
    assert hashes(Path("outputs")) == before


def test_a_group_of_seeds_keeps_its_seeds_and_its_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(capsys, *LINE, "trainer.epochs=2", "--seeds", "2", "-o", "g")
    before = hashes(Path("g"))
    words: tuple[str, ...] = (*LINE, "trainer.epochs=1", "--seeds", "2", "-o", "g")
    assert "trainer.epochs" in line_refused(capsys, *words, code="incompatible-run", where="g")["message"]
    for words, left_out in ((("--seeds", "1"), 1), (("--seeds", "2", "seed=1"), 0)):
        line = (*LINE, "trainer.epochs=2", *words, "-o", "g")
        assert f"seed {left_out}" in line_refused(capsys, *line, code="incompatible-run", where="--seeds")["message"]
    assert hashes(Path("g")) == before
    dlexp(capsys, *LINE, "trainer.epochs=2", "--seeds", "3", "-o", "g")
    assert (Path("g") / "seeds.csv").read_text().count("\n") == 4


def test_a_sweep_keeps_its_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(capsys, *LINE[:-1], "-m", "seed=0,1", "trainer.epochs=2", "--run-id", "s")
    before = hashes(Path("outputs/sweep/s"))
    words = (*LINE[:-1], "-m", "seed=0,1", "trainer.epochs=1", "--run-id", "s")
    line_refused(capsys, *words, code="incompatible-run", where="outputs/sweep/s", remedy="dlexp train --resume")
    assert hashes(Path("outputs/sweep/s")) == before
