"""Progress of a sweep: a line per running job on a terminal, otherwise a line per started or finished job."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.live import Live
from rich.table import Table

from dlexp.cli.console import err, escape, escape_lines
from dlexp.report.number_format import number
from dlexp.text.time_format import spoken
from dlexp.workflows.sweep.files import FINISHED, RUNNING, WAITING, JobState

_HEARTBEAT_SECONDS = 60.0
_REDRAW_SECONDS = 0.1


class QuietSweep:
    """A display that shows messages only."""

    def say(self, text: str) -> None:
        """Print a line on standard error."""
        err.print(escape_lines(text))

    def job(self, state: JobState, states: Sequence[JobState]) -> None:
        """Print nothing."""

    def end(self) -> None:
        """Print nothing."""


class PlainSweep(QuietSweep):
    """A line when a job starts and when it finishes, and a line per minute in between."""

    def __init__(self) -> None:
        self._pace = _Pace()
        self._spoke = time.monotonic()

    def job(self, state: JobState, states: Sequence[JobState]) -> None:
        """Print a job that started, finished an epoch or finished."""
        self._pace.see(states)
        is_news = state.state != RUNNING or not state.epoch
        if not is_news and time.monotonic() - self._spoke < _HEARTBEAT_SECONDS:
            return
        self._spoke = time.monotonic()
        epoch = f"  epoch {state.epoch}/{state.epochs}" if state.epoch else ""
        value = f"  {state.job.config.monitor} {_value(state)}" if state.value is not None else ""
        reason = f"  {state.reason}" if state.reason else ""
        text = f"job {state.number}  {state.job.name}  {state.state}{epoch}{value}{reason}"
        err.print(f"{text}  [{self._pace.totals(states)}]", markup=False)


class LiveSweep(QuietSweep):
    """A live view with a line per running job and the totals."""

    def __init__(self) -> None:
        self._pace = _Pace()
        self._live = Live(console=err, auto_refresh=False)
        self._live.start()
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """Print a line above the view."""
        self._live.console.print(escape_lines(text))

    def job(self, state: JobState, states: Sequence[JobState]) -> None:
        """Redraw, immediately when a job has finished; a failed job is printed above the view."""
        self._pace.see(states)
        if state.state not in (RUNNING, FINISHED):
            self.say(f"job {state.number} {state.job.name}: {state.state}: {state.reason}")
        if state.state != RUNNING or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._table(states), refresh=True)

    def end(self) -> None:
        """Close the live view; the last drawing remains on the terminal."""
        self._live.stop()

    def _table(self, states: Sequence[JobState]) -> Table:
        made = Table(
            title=self._pace.totals(states), title_justify="left", box=None, pad_edge=False, header_style="dim"
        )
        for column in ("job", "epoch", "value"):
            made.add_column(column, justify="right", no_wrap=True)
        made.add_column("configuration", no_wrap=True, overflow="ellipsis", ratio=1)
        for state in states:
            if state.state == RUNNING:
                made.add_row(str(state.number), f"{state.epoch}/{state.epochs}", _value(state), escape(state.job.name))
        return made


class _Pace:
    """Estimate of the remaining time, from the epochs that finished in this process."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first: int | None = None

    def see(self, states: Sequence[JobState]) -> None:
        """Remember how many epochs were finished before."""
        if self._first is None:
            self._first = _done(states)

    def totals(self, states: Sequence[JobState]) -> str:
        """The number of jobs by state, and the remaining time."""
        counts = Counter(state.state for state in states)
        parts = [f"{counts.pop(FINISHED, 0)}/{len(states)} jobs finished"]
        parts += [f"{count} {state}" for state, count in counts.items() if state != WAITING]
        done, total = _done(states) - (self._first or 0), sum(s.epochs for s in states) - (self._first or 0)
        if 0 < done < total:
            parts.append(f"{spoken((time.monotonic() - self._started) / done * (total - done))} left")
        return ", ".join(parts)


def _done(states: Sequence[JobState]) -> int:
    return sum(s.epoch if s.state in (RUNNING, WAITING) else s.epochs for s in states)


def _value(state: JobState) -> str:
    return number(state.job.config.monitor, state.value)


def display(quiet: bool) -> QuietSweep:
    """The display for the kind of standard error: live for a terminal, otherwise plain."""
    if quiet:
        return QuietSweep()
    return LiveSweep() if err.is_terminal and not err.is_dumb_terminal else PlainSweep()
