"""A refused change of a run that is resumed leaves every file as it was, whatever way it is resumed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dlexp.cli.app import main

LINE = ("train", "-q", "data=iris", "model=mlp", "model.hidden=[4]", "trainer.device=cpu", "seed=0")


def dlexp(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    told = capsys.readouterr()
    assert (stopped.value.code or 0) == code, told.err
    return told.err


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
        err = dlexp(capsys, *line, code=2)
        assert "trainer.epochs=2\n    must be at least 4: 4 epochs are already trained\n" in err
        assert "set trainer.epochs=4 or more" in err
        assert hashes(Path("outputs")) == before
    assert "dlexp evaluate outputs/train/r" in dlexp(capsys, "train", "--resume", "r", "trainer.test=true", code=2)
    path = Path("outputs/train/r/config.yaml")  # edited by hand, and allowed
    path.write_text(path.read_text().replace("epochs: 4", "epochs: 3"))
    before = hashes(Path("outputs"))
    assert "must be at least 4" in dlexp(capsys, "train", "-q", "--resume", "r", "--allow-changes", code=2)
    assert hashes(Path("outputs")) == before


def test_a_group_of_seeds_keeps_its_seeds_and_its_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(capsys, *LINE, "trainer.epochs=2", "--seeds", "2", "-o", "g")
    before = hashes(Path("g"))
    fewer = dlexp(capsys, *LINE, "trainer.epochs=1", "--seeds", "2", "-o", "g", code=2)
    assert "trainer.epochs was 2, is 1" in fewer
    for words, left_out in ((("--seeds", "1"), 1), (("--seeds", "2", "seed=1"), 0)):
        err = dlexp(capsys, *LINE, "trainer.epochs=2", *words, "-o", "g", code=2)
        assert f"leaves out seed {left_out}, which g already holds" in err
    assert hashes(Path("g")) == before
    dlexp(capsys, *LINE, "trainer.epochs=2", "--seeds", "3", "-o", "g")
    assert (Path("g") / "seeds.csv").read_text().count("\n") == 4


def test_a_sweep_keeps_its_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp(capsys, *LINE[:-1], "-m", "seed=0,1", "trainer.epochs=2", "--run-id", "s")
    before = hashes(Path("outputs/sweep/s"))
    err = dlexp(capsys, *LINE[:-1], "-m", "seed=0,1", "trainer.epochs=1", "--run-id", "s", code=2)
    assert "holds a sweep of other cells" in err
    assert hashes(Path("outputs/sweep/s")) == before
