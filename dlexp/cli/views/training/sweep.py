"""The output of `dlexp train -m`: progress, the jobs of a dry run, and the table of the jobs.

On a terminal, progress is a line per running job and per ended one that fits; otherwise a line per start and end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from dlexp.cli.console import err, escape, out, table
from dlexp.cli.style import short_path
from dlexp.cli.views.live import LiveRegion, ProgressView, select_view
from dlexp.cli.views.results.compare import print_standings
from dlexp.report.number_format import number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken
from dlexp.workflows.sweep.files import FINISHED, RUNNING, WAITING, JobState

if TYPE_CHECKING:
    from dlexp.config.sweep import SweepJob
    from dlexp.workflows.sweep.sweep import SweepProgress

_HEARTBEAT_SECONDS = 60.0
_REDRAW_SECONDS = 0.1
_OTHER_LINES = 4  # of the terminal: title, heading, and room for messages
_FEWEST_ROWS = 4
_OTHER_COLUMNS = 27  # characters of the columns number, state and time


class SweepLines(ProgressView["SweepProgress"]):
    """A line when a job starts and when it finishes, and a line per minute in between."""

    def __init__(self) -> None:
        self._pace = _Pace()
        self._spoke = time.monotonic()

    def observe(self, event: SweepProgress) -> None:
        """Print a job that started, finished an epoch or finished."""
        state, states = event.job, event.jobs
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


class LiveSweep(ProgressView["SweepProgress"]):
    """A live view with a line per running job, the best and the last finished ones, and the totals."""

    def __init__(self) -> None:
        self._pace = _Pace()
        self._region = LiveRegion(redirect=True)
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """Print a line above the view."""
        self._region.say(text)

    def observe(self, event: SweepProgress) -> None:
        """Redraw, immediately when a job has finished; a failed job is printed above the view."""
        state, states = event.job, event.jobs
        self._pace.see(states)
        if state.state not in (RUNNING, FINISHED):
            self.say(f"job {state.number} {state.job.name}: {state.state}: {state.reason}")
        if state.state != RUNNING or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._region.draw(self._table(states))

    def end(self) -> None:
        """Close the live view; the last drawing remains on the terminal."""
        self._region.close()

    def _table(self, states: Sequence[JobState]) -> Table:
        made = Table(
            title=self._pace.totals(states), title_justify="left", box=None, pad_edge=False, header_style="dim"
        )
        monitors = {state.job.config.monitor for state in states}
        for column in ("job", "epoch", monitors.pop() if len(monitors) == 1 else "value"):
            made.add_column(escape(column), justify="right", no_wrap=True)
        made.add_column("configuration", no_wrap=True, overflow="ellipsis", ratio=1)
        best = _best_finished(states)
        for state in _in_sight(states, best, max(_FEWEST_ROWS, err.height - _OTHER_LINES)):
            star = "*" if state is best else " "
            style = "bold green" if state is best else "dim" if state.state != RUNNING else ""
            epoch = f"{state.epoch}/{state.epochs}" if state.state in (RUNNING, FINISHED) else state.state
            made.add_row(f"{state.number}{star}", epoch, _value(state), escape(state.job.name), style=style)
        return made


def _best_finished(states: Sequence[JobState]) -> JobState | None:
    """The finished job with the best value of the monitored metric; None if the jobs differ in the metric."""
    if len({state.job.config.monitor for state in states}) > 1:
        return None
    ranked = [s for s in states if s.state == FINISHED and s.value is not None and s.value == s.value]
    sign = 1 if states[0].job.config.maximize else -1
    return max(ranked, key=lambda state: sign * (state.value or 0.0), default=None)


def _in_sight(states: Sequence[JobState], best: JobState | None, room: int) -> list[JobState]:
    """The running jobs, and as many ended ones as fit in `room` rows: the best, then the newest; by number."""
    running = [state for state in states if state.state == RUNNING]
    ended = [state for state in states if state.state not in (RUNNING, WAITING) and state is not best]
    first = [*running, *([best] if best is not None else [])]
    left = max(0, room - len(first))
    kept = [*first, *(ended[-left:] if left else [])][: max(room, len(running))]
    return sorted(kept, key=lambda state: state.number)


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


def progress_view(quiet: bool) -> ProgressView[SweepProgress]:
    """The view for standard error: messages if `quiet`, a live view on a terminal, otherwise lines."""
    view: ProgressView[SweepProgress] = select_view(quiet, SweepLines, LiveSweep)
    return view


def list_jobs(jobs: Sequence[SweepJob], options: Sequence[str]) -> None:
    """Print the command of each job, with the options that all share, and how long all can take."""
    first = ["train", *options]
    for position, job in enumerate(jobs):
        out.print(f"{position:>4}  {escape(command(*first, *(job.line or job.overrides)))}")
    epochs = sum(job.config.trainer.epochs for job in jobs)
    out.print(f"\n{len(jobs)} jobs, at most {epochs:,} epochs; all were built, none was trained")


def show(content: Mapping[str, Any]) -> None:
    """Print the jobs with their metrics, the failures with their reasons, the comparison and the files."""
    jobs, folder = content["jobs"], short_path(content["sweep"])
    keys = list(dict.fromkeys(key for job in jobs for key in job["varied"]))
    metrics = _columns(content, keys)
    rows = []
    for job in jobs:
        star = "*" if job["number"] == content["best"] else " "
        values = [number(name, job["metrics"].get(name)) for name in metrics]
        seconds = spoken(job["seconds"]) if job["seconds"] is not None else ""
        varied = [job["varied"].get(key, "") for key in keys]
        rows.append([f"{job['number']}{star}", *varied, job["state"], *values, seconds])
    out.print()
    out.print(table(_title(content), ["job", *keys, "state", *metrics, "time"], rows, numbers_from=len(keys) + 2))
    for job in jobs:
        if job["reason"]:
            log = f"{folder}/logs/{job['number']:03d}.log"
            name = " ".join(f"{key}={value}" for key, value in job["varied"].items())
            out.print(f"\n[bold red]job {job['number']}[/] {escape(name)}: {escape(job['reason'])}\n  {escape(log)}")
    comparison = content.get("comparison")
    if comparison is not None:
        print_standings(comparison)
    counts = ", ".join(f"{count} {state}" for state, count in content["counts"].items())
    out.print(f"\n{counts} of {len(jobs)}\n\n  sweep    {escape(folder)}\n  table    {escape(folder)}/sweep.json")
    if comparison is not None:
        out.print(f"  compared {escape(folder)}/comparison.md\n\n  compare  {escape(command('compare', Path(folder)))}")
    if len(content["jobs"]) > content["counts"].get("finished", 0):
        out.print(f"\nnext: {escape(command('train', '--resume', Path(folder)))}    (finished jobs are kept)")


def _title(content: Mapping[str, Any]) -> str:
    return f"at the best epoch by {content['metric']}" if content["metric"] else "at the best epoch of each job"


def _columns(content: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """The monitored metric, then as many others as fit on the screen; sweep.json has all."""
    names = list(dict.fromkeys(name for job in content["jobs"] for name in job["metrics"]))
    first = [content["metric"]] if content["metric"] in names else names[:1]
    room = out.width - _OTHER_COLUMNS
    for key in keys:
        room -= 2 + max(len(key), *(len(job["varied"].get(key, "")) for job in content["jobs"]))
    found: list[str] = []
    for name in [*first, *(name for name in names if name not in first)]:
        room -= 2 + max(len(name), 8)
        if room < 0 and found:
            break
        found.append(name)
    return found
