"""The live view: what it shows, and that it draws no more often than it may."""

from __future__ import annotations

import io
import time
from itertools import pairwise

import pytest
from rich.console import Console
from rich.text import Text

from dlexp.cli import console as console_module
from dlexp.cli.views import live as live_module
from dlexp.cli.views.training import display
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.workflows.reporter import RunFacts


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40, highlight=False, soft_wrap=True)
    monkeypatch.setattr(display, "err", console)
    monkeypatch.setattr(live_module, "err", console)
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


def begun() -> display.LiveTraining:
    live = display.LiveTraining()
    live.begin(RunFacts("mlp on digits", "outputs/x", 20, 0, 10, {"machine": "cpu"}))
    return live


def test_the_table_is_aligned_and_marks_the_best(terminal: Console) -> None:
    live = begun()
    for number, loss in ((9, 0.25), (10, 0.125)):
        live.observe(epoch(number, loss, is_best=number == 10))
    lines = live._table().plain.splitlines()
    assert [line.split() for line in lines] == [
        ["epoch", "train/loss", "val/loss", "lr", "samples/s"],
        ["9", "0.5", "0.25", "0.001", "12,346"],
        ["10*", "0.5", "0.125", "0.001", "12,346"],
    ]
    assert len({len(line) for line in lines}) == 1
    live.end()
    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    assert all(line.strip() in shown for line in lines)
    assert "epoch 11/20" in shown or "epoch 10/20" in shown


def test_the_best_epoch_stays_in_sight(terminal: Console) -> None:
    live = begun()
    for number in range(1, 20):
        live.observe(epoch(number, 0.1 if number == 3 else 0.2, is_best=number in (1, 3)))
        lines = live._table().plain.splitlines()[1:]
        assert any(line.split()[0] == ("3*" if number >= 3 else "1*") for line in lines)
        assert len(lines) == min(number, 8)  # the view does not grow when the best epoch leaves the last ones
    assert [line.split()[0] for line in lines] == ["3*", *(str(number) for number in range(13, 20))]
    assert [str(span.style) for span in live._table().spans].count("bold green") == 1
    live.end()


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

    monkeypatch.setattr(live._region, "draw", draw_slowly)
    for step in range(1000):
        clock[0] += 0.001
        live.observe(StepRecord(1, step % 10 + 1, 10, step, 64 * step, {"train": 0.1}, means))
    gaps = [after - before for before, after in pairwise(drawn)]
    assert len(drawn) == len(asked) > 2
    assert min(gaps) >= 0.398  # a drawing of 2 ms, and 199 times as long without one
    assert max(gaps) < 0.41


@pytest.mark.parametrize("width", [40, 80, 100, 240])
def test_no_line_of_the_live_view_breaks(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40, highlight=False, soft_wrap=True)
    monkeypatch.setattr(display, "err", console)
    monkeypatch.setattr(live_module, "err", console)
    live = begun()
    metrics = {f"val/metric_number_{n}": 0.123456 for n in range(6)}
    values = {"epoch": 3, "train/loss": 0.5, "val/loss": 0.25, **metrics, "lr": 0.001, "samples_per_s": 12345.6}
    live.observe(EpochRecord(3, 20, values, True, "val/loss"))
    means = {f"a_long_name_of_a_loss_{n}": 0.123456 for n in range(5)}
    live._next = 0.0
    live.observe(StepRecord(4, 2, 10, 32, 640, {"train": 0.1}, lambda: means))
    table = live._table().plain.splitlines()
    paper = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    paper.print(live._bars())
    assert isinstance(paper.file, io.StringIO)
    bars = paper.file.getvalue().splitlines()
    assert len(bars) == 2  # a third line would make the view jump
    assert max(len(line.rstrip()) for line in (*table, *bars)) <= width
    assert len(bars[1].rstrip()) <= width - 2  # a terminal writes ^C behind the last line
    assert ("val/metric_number_5" in table[0]) == (width == 240)
    assert ("samples/s" in table[0]) == (width >= 80)
    assert all(name in " ".join(table).split() for name in ("epoch", "train/loss", "val/loss"))
    live.end()


def test_facts_break_between_words_under_their_own_column(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, highlight=False, soft_wrap=True)
    monkeypatch.setattr(display, "err", console)
    monkeypatch.setattr(live_module, "err", console)
    text, path = "many small words " * 12, "outputs/" + "x" * 90
    live = display.LiveTraining()
    live.begin(RunFacts("t", path, 1, 0, 1, {"because": text}))
    live.end()
    assert isinstance(console.file, io.StringIO)
    lines = [Text.from_ansi(line).plain for line in console.file.getvalue().splitlines()]
    facts = [line for line in lines if "small" in line]
    assert len(facts) > 2
    assert all(len(line) <= 60 and line[:11] in ("  because  ", " " * 11) for line in facts)
    assert " ".join(" ".join(line[11:] for line in facts).split()) == text.strip()
    assert any(path in line for line in lines)  # whole, to be copied


def test_a_table_is_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(console_module, "out", Console(file=file, highlight=False, soft_wrap=True))
    columns = ["metric", "mean", *(f"seed-{n}" for n in range(30))]
    rows = [["a metric 猫", "98.12 %", *("97.77 %" for _ in range(30))]]
    console_module.out.print(console_module.table("a title", columns, rows))
    title, *lines = file.getvalue().splitlines()
    assert title.strip() == "a title"
    assert [line.split() for line in lines] == [columns, " ".join(rows[0]).split()]


def test_a_table_of_seeds_leaves_the_runs_out_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = {"val/accuracy": {"mean": 0.9, "std": 0.01, "n": 9}}
    content = {"runs": [f"g/seed-{n}" for n in range(9)], "over_seeds": spread, "metrics": [{"val/accuracy": 0.9}] * 9}
    for width, has_runs in ((80, False), (200, True)):
        file = io.StringIO()
        monkeypatch.setattr(console_module, "out", Console(file=file, force_terminal=True, width=width, soft_wrap=True))
        console_module.out.print(console_module.over_seeds("t", content))
        assert ("seed-8" in file.getvalue()) == has_runs
        assert "1.00 %" in file.getvalue() and "…" not in file.getvalue()


def test_time_left_and_speed_are_shown_once_known(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    monkeypatch.setattr(display, "err", console)
    shown = display.TrainingLines()
    shown.begin(RunFacts("mlp on digits", "outputs/x", 3, 0, 10, {}))
    for number in (1, 2):
        values = {"epoch": number, "train/loss": 0.5, "val/loss": 0.5, "lr": 0.1, "samples_per_s": 12345.6}
        shown.observe(EpochRecord(number, 3, values, True, "val/loss"))
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()[-2:]
    assert first.endswith("12,346 samples/s  best") and "left" not in first
    assert " s left  best" in second
