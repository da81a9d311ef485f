"""What a person sees while a sweep runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlexp.cli.views.live import MessageView
from dlexp.cli.views.training import sweep
from dlexp.cli.views.training.sweep import LiveSweep, SweepLines
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.sweep import sweep_jobs
from dlexp.workflows.sweep.files import JobState
from dlexp.workflows.sweep.sweep import SweepProgress


@pytest.fixture
def states() -> list[JobState]:
    catalog = Catalog()
    jobs = sweep_jobs(("trainer.epochs=4", "seed=range(3)"), catalog, lambda words: load(words, catalog))
    return [JobState(number, job, Path(f"{number:03d}")) for number, job in enumerate(jobs)]


def test_in_a_pipe_begin_and_end_are_a_line_each(
    states: list[JobState], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    display = SweepLines()
    first, second, _ = states
    first.state = "running"
    display.observe(SweepProgress(first, states))
    for first.epoch in (1, 2):
        first.value = 0.25
        display.observe(SweepProgress(first, states))  # an epoch within a minute of the last line says nothing
    monkeypatch.setattr(sweep, "_HEARTBEAT_SECONDS", 0.0)
    display.observe(SweepProgress(first, states))
    first.state = "finished"
    display.observe(SweepProgress(first, states))
    second.state, second.reason = "failed", "[red] it broke"
    display.observe(SweepProgress(second, states))
    display.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "job 0  seed=0  running  [0/3 jobs finished, 1 running]"
    assert lines[1].startswith("job 0  seed=0  running  epoch 2/4  val/loss 0.25  [0/3 jobs finished, 1 running, ")
    assert lines[2].startswith("job 0  seed=0  finished  epoch 2/4  val/loss 0.25  [1/3 jobs finished, ")
    assert lines[3].startswith("job 1  seed=1  failed  [red] it broke  [1/3 jobs finished, 1 failed, ")
    assert re.search(r"\d s left\]$", lines[3])
    assert len(lines) == 4


def test_on_a_terminal_each_running_cell_is_a_line(states: list[JobState], capsys: pytest.CaptureFixture[str]) -> None:
    display = LiveSweep()
    for state in states[:2]:
        state.state, state.epoch, state.value = "running", 3, 0.5
    states[2].state, states[2].reason = "failed", "no [bold] memory"
    display.observe(SweepProgress(states[2], states))
    display.end()
    err = capsys.readouterr().err
    assert "job 2 seed=2: failed: no [bold] memory" in err
    assert "0/3 jobs finished, 2 running, 1 failed" in err
    rows = [" ".join(line.split()) for line in err.splitlines()]
    assert "job epoch val/loss configuration" in rows
    assert "0 3/4 0.5 seed=0" in rows
    assert "1 3/4 0.5 seed=1" in rows


def test_quiet_says_only_what_must_be_known(states: list[JobState], capsys: pytest.CaptureFixture[str]) -> None:
    display = MessageView()
    display.observe(SweepProgress(states[0], states))
    display.say("it goes on")
    display.end()
    assert capsys.readouterr().err == "it goes on\n"


def test_ended_jobs_stay_in_sight_with_the_best_marked(states: list[JobState]) -> None:
    for state, value in zip(states, (0.5, 0.2, 0.9), strict=True):
        state.state, state.epoch, state.value = "finished", 4, value
    states[2].state, states[2].value = "running", 0.1
    best = sweep._best_finished(states)
    assert best is states[1]  # smaller is better, and a running job is not judged yet
    assert [state.number for state in sweep._in_sight(states, best, 5)] == [0, 1, 2]
    assert [state.number for state in sweep._in_sight(states, best, 2)] == [1, 2]
    display = LiveSweep()
    cells = [list(column.cells) for column in display._table(states).columns]
    display.end()
    assert cells[0] == ["0 ", "1*", "2 "]
    assert cells[1] == ["4/4", "4/4", "4/4"]
