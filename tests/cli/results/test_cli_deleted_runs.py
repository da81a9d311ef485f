"""A run whose directory goes away while it trains ends with exit code 1, and nothing is made anew in its place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dlexp.cli.app import main
from dlexp.config.search import Search
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.tune.study import Study
from dlexp.workflows.reporter import Silent

RUN = Path("outputs/train/r")


class Losing(Silent):
    """Loses something when the second epoch is over."""

    def __init__(self, lose: Callable[[], object]) -> None:
        self._lose = lose

    def observe(self, record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord) and record.epoch == 2:
            self._lose()


def gone(path: str | Path) -> None:
    """Delete a directory in one step for whoever writes in it at the same time."""
    Path(path).rename("aside")
    shutil.rmtree("aside", ignore_errors=True)


def without_checkpoints() -> None:
    """Delete the checkpoints of the first epoch once they are there: until then, a deleted directory is made anew."""
    while not all((RUN / "checkpoints" / name).is_file() for name in ("best.pt", "last.pt")):
        time.sleep(0.01)  # a thread writes them
    gone(RUN / "checkpoints")


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(
    ("lose", "message"),
    [
        (lambda: gone(RUN), "outputs/train/r "),
        (lambda: gone("outputs"), "outputs/train/r "),
        (lambda: RUN.rename("outputs/train/s"), "outputs/train/r "),
        (without_checkpoints, "outputs/train/r/checkpoints/"),
        (lambda: (RUN / "config.yaml").unlink(), "config.yaml"),
    ],
)
@pytest.mark.parametrize("epochs", [2, 3])  # after the last epoch, and before it
def test_training_says_what_is_gone(
    lose: Callable[[], object],
    message: str,
    epochs: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("dlexp.cli.views.training.display.reporter", lambda quiet: Losing(lose))
    words = ("model=perceptron", "data=iris", f"trainer.epochs={epochs}", "--run-dir", str(RUN))
    assert ended("train", *words) == 1
    assert message in capsys.readouterr().err
    assert not (RUN / "summary.json").exists() and not (RUN / "plots").exists()
    if message.endswith(" "):  # the directory itself is gone
        assert not RUN.exists()


def test_group_of_seeds_and_evaluation_say_what_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dlexp.cli.views.training.display.reporter", lambda quiet: Losing(lambda: gone(RUN)))
    words = ("model=perceptron", "data=iris", "trainer.epochs=2", "--run-dir", str(RUN))
    assert ended("train", *words, "--seeds", "2") == 1
    assert "was deleted" in capsys.readouterr().err and not RUN.exists()
    monkeypatch.setattr("dlexp.cli.views.training.display.reporter", lambda quiet: Silent())
    assert ended("train", *words) == 0
    monkeypatch.setattr("dlexp.workflows.evaluate.evaluate.load_eval_weights", lambda *words: shutil.rmtree(RUN))
    assert ended("evaluate", str(RUN), "--resamples", "0") == 1
    assert "was deleted" in capsys.readouterr().err and not RUN.exists()


def test_study_says_that_its_directory_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dlexp.workflows.tune.files import write_progress

    def lose(folder: Path, search: Search, study: Study) -> object:
        gone(folder)
        return write_progress(folder, search, study)

    monkeypatch.setattr("dlexp.workflows.tune.tune.write_progress", lose)
    words = ("model=perceptron", "data=iris", "trainer.epochs=1", "search.confirm_top=0")
    assert ended("tune", "-n", "2", "--name", "st", "--quiet", *words) == 1
    assert "outputs/tune/st was deleted" in capsys.readouterr().err
    assert not Path("outputs/tune/st").exists()
