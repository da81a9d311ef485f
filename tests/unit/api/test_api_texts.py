"""Texts that a program hands over: a DataFrame with a column of texts, or a list of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import dlexp

WORDS = ("model=lstm", "model.units=8", "trainer.epochs=1", "trainer.threads=1", "data.min_count=1")
TEXTS = [f"{'good' if n % 2 else 'bad'} film number {n % 9} of all" for n in range(40)]
STARS = ["up" if n % 2 else "down" for n in range(40)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_frame_of_texts_trains_as_its_file_does(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(40), "review": TEXTS, "stars": STARS})
    run = dlexp.train(*WORDS, "data.text=review", data=frame, target="stars", progress=False)
    frame.to_csv(tmp_path / "a.csv", index=False)
    words = ("data=text", f"data.path={tmp_path / 'a.csv'}", "data.text=review", "data.target=stars")
    other = dlexp.train(*WORDS, *words, progress=False)
    losses = [pd.read_csv(one.path / "metrics.csv")["val/loss"].tolist() for one in (run, other)]
    assert losses[0] == losses[1]
    found = run.predict(["a good film", "bad"])
    assert set(found["predicted"]) <= {"up", "down"}
    assert run.evaluate(data=frame).metrics == run.evaluate().metrics


def test_a_list_of_texts_is_trained_on(tmp_path: Path) -> None:
    run = dlexp.train(*WORDS, data=TEXTS, target=STARS, progress=False)
    assert len(run.predict(["a good film"])) == 1


def test_a_missing_target_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"review": TEXTS, "stars": [None, *STARS[1:]]})
    with pytest.raises(dlexp.DataError, match="row 0"):
        dlexp.train(*WORDS, "data.text=review", data=frame, target="stars", progress=False)
    assert dlexp.train(*WORDS, "data.text=review", "data.on_bad=skip", data=frame, target="stars", progress=False)
