"""What a person sees while a sweep runs: on a terminal a line for each cell that runs, elsewhere one for each end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.live import Live
from rich.table import Table

from dlexp.cli.console import err, escape, escape_lines
from dlexp.report.number_format import number
from dlexp.text.time_format import spoken
from dlexp.workflows.sweep.files import FINISHED, RUNNING, WAITING, CellState

_HEARTBEAT_SECONDS = 60.0
_REDRAW_SECONDS = 0.1


class QuietSweep:
    """Only what a person must know."""

    def say(self, text: str) -> None:
        """A line on standard error."""
        err.print(escape_lines(text))

    def cell(self, state: CellState, states: Sequence[CellState]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class PlainSweep(QuietSweep):
    """A line when a cell begins and when it ends, and one a minute of what runs."""

    def __init__(self) -> None:
        self._pace = _Pace()
        self._spoke = time.monotonic()

    def cell(self, state: CellState, states: Sequence[CellState]) -> None:
        """A cell began, went on or ended."""
        self._pace.see(states)
        is_news = state.state != RUNNING or not state.epoch
        if not is_news and time.monotonic() - self._spoke < _HEARTBEAT_SECONDS:
            return
        self._spoke = time.monotonic()
        epoch = f"  epoch {state.epoch}/{state.epochs}" if state.epoch else ""
        value = f"  {state.cell.config.monitor} {_value(state)}" if state.value is not None else ""
        reason = f"  {state.reason}" if state.reason else ""
        text = f"cell {state.number}  {state.cell.name}  {state.state}{epoch}{value}{reason}"
        err.print(f"{text}  [{self._pace.totals(states)}]", markup=False)


class LiveSweep(QuietSweep):
    """The cells that run, a line each, and the totals; redrawn as they report."""

    def __init__(self) -> None:
        self._pace = _Pace()
        self._live = Live(console=err, auto_refresh=False)
        self._live.start()
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """A line above the view."""
        self._live.console.print(escape_lines(text))

    def cell(self, state: CellState, states: Sequence[CellState]) -> None:
        """Draw again, at once when a cell ended; one that failed is told above, so that it stays."""
        self._pace.see(states)
        if state.state not in (RUNNING, FINISHED):
            self.say(f"cell {state.number} {state.cell.name}: {state.state}: {state.reason}")
        if state.state != RUNNING or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._table(states), refresh=True)

    def end(self) -> None:
        """The last drawing stays."""
        self._live.stop()

    def _table(self, states: Sequence[CellState]) -> Table:
        made = Table(
            title=self._pace.totals(states), title_justify="left", box=None, pad_edge=False, header_style="dim"
        )
        for column in ("cell", "epoch", "value"):
            made.add_column(column, justify="right", no_wrap=True)
        made.add_column("configuration", no_wrap=True, overflow="ellipsis", ratio=1)
        for state in states:
            if state.state == RUNNING:
                made.add_row(str(state.number), f"{state.epoch}/{state.epochs}", _value(state), escape(state.cell.name))
        return made


class _Pace:
    """Time left, from the epochs that ended in this process; a cell that stops early leaves its other epochs out."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first: int | None = None

    def see(self, states: Sequence[CellState]) -> None:
        """Remember how much was done before."""
        if self._first is None:
            self._first = _done(states)

    def totals(self, states: Sequence[CellState]) -> str:
        """Cells by state, and the time left."""
        counts = Counter(state.state for state in states)
        parts = [f"{counts.pop(FINISHED, 0)}/{len(states)} cells finished"]
        parts += [f"{count} {state}" for state, count in counts.items() if state != WAITING]
        done, total = _done(states) - (self._first or 0), sum(s.epochs for s in states) - (self._first or 0)
        if 0 < done < total:
            parts.append(f"{spoken((time.monotonic() - self._started) / done * (total - done))} left")
        return ", ".join(parts)


def _done(states: Sequence[CellState]) -> int:
    return sum(s.epoch if s.state in (RUNNING, WAITING) else s.epochs for s in states)


def _value(state: CellState) -> str:
    return number(state.cell.config.monitor, state.value)


def display(quiet: bool) -> QuietSweep:
    """The display that fits where standard error goes."""
    if quiet:
        return QuietSweep()
    return LiveSweep() if err.is_terminal and not err.is_dumb_terminal else PlainSweep()
