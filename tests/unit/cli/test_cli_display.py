"""The live view: what it shows, and that it draws no more often than it may."""

from __future__ import annotations

import io
import time
from itertools import pairwise

import pytest
from rich.console import Console

from dlexp.cli import display
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.workflows.reporting import RunFacts


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40, highlight=False, soft_wrap=True)
    monkeypatch.setattr(display, "err", console)
    return console


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test turns."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def epoch(number: int, loss: float, is_best: bool = False) -> EpochRecord:
    values = {"epoch": number, "train/loss": 0.5, "val/loss": loss, "lr": 0.001, "samples_per_s": 12345.6}
    return EpochRecord(number, 20, values, is_best, "val/loss")


def begun() -> display.LiveDisplay:
    live = display.LiveDisplay()
    live.begin(RunFacts("mlp on digits", "outputs/x", 20, 0, 10, {"machine": "cpu"}))
    return live


def test_the_table_is_aligned_and_marks_the_best(terminal: Console) -> None:
    live = begun()
    for number, loss in ((9, 0.25), (10, 0.125)):
        live.observe(epoch(number, loss, is_best=number == 10))
    lines = live._table().plain.splitlines()
    assert [line.split() for line in lines] == [
        ["epoch", "train/loss", "val/loss", "lr", "samples_per_s"],
        ["9", "0.5", "0.25", "0.001", "12,346"],
        ["10*", "0.5", "0.125", "0.001", "12,346"],
    ]
    assert len({len(line) for line in lines}) == 1
    live.end()
    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    assert all(line.strip() in shown for line in lines)
    assert "epoch 11/20" in shown or "epoch 10/20" in shown


def test_it_rests_as_long_as_drawing_is_dear(
    terminal: Console, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = begun()
    drawn: list[float] = []
    asked: list[float] = []

    def draw_slowly(*parts: object, **how: object) -> None:
        drawn.append(clock[0])
        clock[0] += 0.002

    def means() -> dict[str, float]:
        asked.append(clock[0])
        return {"loss": 1.0}

    monkeypatch.setattr(live._live, "update", draw_slowly)
    for step in range(1000):
        clock[0] += 0.001
        live.observe(StepRecord(1, step % 10 + 1, 10, step, 64 * step, 0.1, means))
    gaps = [after - before for before, after in pairwise(drawn)]
    assert len(drawn) == len(asked) > 2
    assert min(gaps) >= 0.2  # a drawing of 2 ms, and 99 times as long without one
    assert max(gaps) < 0.21
