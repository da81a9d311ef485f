"""The output of `dlexp tune`: progress of a study, its dry run and its result."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from dlexp.cli.console import err, escape, out, table, undrawn
from dlexp.cli.views.live import LiveRegion, ProgressView, select_view
from dlexp.config.schema.tree import shown
from dlexp.report.number_format import number
from dlexp.text.quoting import command
from dlexp.text.time_format import spoken

if TYPE_CHECKING:
    from dlexp.workflows.tune.tune import StudyProgress, TrialRecord

_ROWS = 10


class _Pace:
    """Estimate of the remaining time, from the trials that finished in this process."""

    def __init__(self, total: int) -> None:
        self._total, self._started = total, time.perf_counter()
        self._first: int | None = None

    def see(self, finished: int) -> None:
        """Remember how many trials were finished before."""
        self._first = finished if self._first is None else self._first

    def left(self, finished: int) -> str:
        """`  TIME left` to the total, or "" until the first trial has finished."""
        done = finished - (self._first or 0)
        if done <= 0:
            return ""
        return f"  {spoken((time.perf_counter() - self._started) / done * (self._total - finished))} left"


class StudyLines(ProgressView["StudyProgress"]):
    """A line per finished trial."""

    def __init__(self, total: int, metric: str) -> None:
        self._total, self._metric, self._pace = total, metric, _Pace(total)

    def observe(self, event: StudyProgress) -> None:
        """Print a trial that has finished."""
        record, finished = event.trial, event.finished
        if record.state == "running":
            self._pace.see(finished)
            return
        value = number(self._metric, record.value)
        detail = f"  {record.reason}" if record.reason else ""
        err.print(
            f"trial {record.number}  {record.state}  {escape(self._metric)} {value}{escape(detail)}  "
            f"best {number(self._metric, event.best)}  {finished}/{self._total}{self._pace.left(finished)}"
        )


class LiveStudy(ProgressView["StudyProgress"]):
    """A table of the last trials, redrawn when they report."""

    def __init__(self, total: int, metric: str) -> None:
        self._total, self._metric, self._pace = total, metric, _Pace(total)
        self._rows: dict[int, TrialRecord] = {}
        self._order: deque[int] = deque(maxlen=_ROWS)
        self._region = LiveRegion(redirect=True)
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._region.say(text)

    def observe(self, event: StudyProgress) -> None:
        """Update the row of a trial."""
        record = event.trial
        self._pace.see(event.finished)
        if record.number not in self._rows:
            self._order.append(record.number)
        self._rows[record.number] = record
        if time.perf_counter() - self._drawn > 0.1 or record.state != "running":
            self._drawn = time.perf_counter()
            self._region.draw(self._table(event.finished, event.best))

    def end(self) -> None:
        """Close the live view; the last drawing remains on the terminal."""
        self._region.close()

    def _table(self, finished: int, best: float | None) -> Table:
        title = f"{finished}/{self._total} trials  best {number(self._metric, best)}{self._pace.left(finished)}"
        made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
        for column in ("trial", "state", "epoch", self._metric, "parameters"):
            made.add_column(
                escape(column), justify="left" if column in ("state", "parameters") else "right", no_wrap=True
            )
        room = max(20, err.width - len(self._metric) - 34)  # otherwise rich would shrink the narrow columns first
        for key in self._order:
            record = self._rows[key]
            is_best = record.state == "complete" and record.value == best
            parameters = "  ".join(
                f"{name.rpartition('.')[2]} {_short(value)}" for name, value in record.params.items()
            )
            style = "bold green" if is_best else "dim" if record.state in ("pruned", "failed") else None
            shown = record.reason if record.state == "failed" else parameters
            value = number(self._metric, record.value)
            star = "*" if is_best else " "
            made.add_row(
                f"{record.number}{star}", record.state, str(record.epoch), value, escape(shown[:room]), style=style
            )
        return made


def progress_view(quiet: bool, total: int, metric: str) -> ProgressView[StudyProgress]:
    """The view for standard error: messages if `quiet`, a live view on a terminal, otherwise lines."""
    view: ProgressView[StudyProgress] = select_view(
        quiet, partial(StudyLines, total, metric), partial(LiveStudy, total, metric)
    )
    return view


def dry_run(content: Mapping[str, Any], groups: Collection[str], epochs_each: int, hours: float | None) -> None:
    """Print the search space, the sampled configurations of every branch of `groups`, and the maximum cost."""
    space, confirmed = content["space"], content["confirmations"]
    out.print(table("search space", ["key", "values"], [[k, v] for k, v in space.items()], numbers_from=9))
    title: str | None = None
    for sample in content["samples"]:
        branch = ", ".join(f"{group}={sample[group]}" for group in groups)
        if branch != title:
            title = branch
            out.print(f"\n{escape(branch) or 'sampled'}")
        values = {key: value for key, value in sample.items() if key not in groups}
        out.print("  " + escape("  ".join(f"{key}={_short(value)}" for key, value in values.items())))
    runs = f"{content['trials']} trials" + (f" and {confirmed} confirmation runs" if confirmed else "")
    out.print(f"\nat most {content['epochs_at_most']:,} epochs: {runs}, {epochs_each} epochs each; fewer with pruning")
    if hours:
        out.print(f"the search stops after at most {hours:g} hours (search.hours)")


def dashboard(name: str | None, address: str) -> None:
    """Print the address of the dashboard on standard error."""
    err.print(f"{escape(name or 'all studies of the storage')}: {address}")


def show(content: Mapping[str, Any], folder: Path, seconds: float) -> None:
    """Print the best trial, its confirmation, the cost of the search and the files of the study."""
    best, metric = content["best"], content["metric"]
    rows = [[name, _short(value)] for name, value in best["params"].items()]
    out.print()
    out.print(
        table(f"best: trial {best['trial']}, {metric} {number(metric, best['value'])}", ["parameter", "value"], rows)
    )
    if content["baseline"] is not None:
        out.print(f"\nbaseline (trial 0): {escape(metric)} {number(metric, content['baseline'])}")
    if content["confirmation"]:
        rows = [
            [name, number(metric, row["mean"]), number(metric, row["std"]), str(row["n"])]
            for name, row in content["confirmation"]["rows"].items()
        ]
        out.print()
        if rows:
            out.print(table("confirmation on new seeds", ["configuration", "mean", "std", "n"], rows))
        out.print(escape(content["confirmation"]["text"]))
    counts = ", ".join(f"{count} {state}" for state, count in content["trials"].items())
    saved = content["epochs_saved_by_pruning"]
    out.print(f"\n{counts}; pruning saved {saved:,} epochs; {spoken(seconds)}; {escape(content['reason'])}")
    undrawn(content)
    near = escape(str(folder))
    out.print(f"\n  study    {near}\n  table    {near}/trials.csv\n  report   {near}/report.html")
    out.print(f"\nnext: {escape(command('train', '--from', folder))}")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else shown(value)
