"""Progress of a training: a live view on a terminal, otherwise one plain line per epoch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dlexp.cli.console import err, escape, print_fact
from dlexp.cli.views.live import LiveRegion, ProgressView, select_view
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.report.number_format import number
from dlexp.text.time_format import spoken
from dlexp.workflows.epoch_line import LABELS, epoch_line, formatted, shown_columns
from dlexp.workflows.reporter import Reporter, RunFacts

# Reading the loss synchronizes with the GPU, and drawing takes milliseconds: both may take half a percent of the time.
_REDRAW_SECONDS, _SLOWEST_REDRAW_SECONDS, _REST = 0.1, 1.0, 199.0
_HEARTBEAT_SECONDS = 60.0
_ROWS = 8
_BAR = 24  # characters
_BESIDE_BAR = 5 + 2 + 4  # the label, the gaps, and room for the ^C that a terminal prints after the last line
_INDENT = 11


def reporter(quiet: bool) -> Reporter:
    """The view for standard error: messages if `quiet`, a live view on a terminal, otherwise lines."""
    view: Reporter = select_view(quiet, TrainingLines, LiveTraining)
    return view


class Pace:
    """Estimate of the remaining time, from the updates made in this process, including validation and checkpoints."""

    def __init__(self, facts: RunFacts) -> None:
        self._epochs, self._num_batches = facts.epochs, facts.num_batches
        self._started, self._first = time.perf_counter(), 0.0
        self._offset: float | None = None

    def left(self, epoch: int, batch: int) -> str:
        """`TIME left` after `batch` batches of epoch number `epoch` (from 1); "" until it can be estimated."""
        done = epoch - 1 + batch / self._num_batches
        if self._offset is None:
            self._offset = done
            self._started = time.perf_counter()
            return ""
        progress = done - self._offset
        if progress <= 0:
            return ""
        return f"{spoken((time.perf_counter() - self._started) / progress * (self._epochs - done))} left"


class TrainingLines(ProgressView[StepRecord | EpochRecord]):
    """A line per epoch, and a line per minute within a long epoch."""

    def begin(self, facts: RunFacts) -> None:
        """Print one line per fact."""
        self._pace, self._epochs, self._spoke = Pace(facts), facts.epochs, time.monotonic()
        for label, text in facts.facts.items():
            print_fact(err, f"{label}: ", text, 2)
        print_fact(err, "run: ", facts.run_dir, 2)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Print every epoch, and a step if the last line is a minute old."""
        if isinstance(record, EpochRecord):
            err.print(epoch_line(record, self._pace.left(record.epoch + 1, 0)), markup=False)
            self._spoke = time.monotonic()
        elif time.monotonic() - self._spoke > _HEARTBEAT_SECONDS:
            left = self._pace.left(record.epoch, record.batch)
            loss = number("loss", next(iter(record.means().values())))
            batch = f"batch {record.batch}/{record.num_batches}"
            parts = [f"epoch {record.epoch}/{self._epochs}", batch, f"train/loss {loss}", left]
            err.print("  ".join(filter(None, parts)))
            self._spoke = time.monotonic()


class LiveTraining(ProgressView[StepRecord | EpochRecord]):
    """The facts of the run, a table of the best and the last epochs, and two progress bars."""

    def __init__(self) -> None:
        self._region: LiveRegion | None = None

    def say(self, text: str) -> None:
        """Print a line above the live view."""
        if self._region is None:
            super().say(text)
        else:
            self._region.say(text)

    def begin(self, facts: RunFacts) -> None:
        """Print the facts and open the live view."""
        self._facts, self._pace = facts, Pace(facts)
        self._history: deque[EpochRecord] = deque(maxlen=_ROWS)
        self._best: EpochRecord | None = None
        self._done, self._batch = float(facts.first_epoch), 0
        self._step: list[str] = []
        self._samples, self._next = (0, time.perf_counter(), 0), 0.0
        self._rate, self._left = "", ""
        self._ended: EpochRecord | None = None  # the epoch that the bars are to show the end of
        err.print(f"[bold]{escape(facts.title)}[/]")
        for label, text in {**facts.facts, "run": facts.run_dir}.items():
            print_fact(err, f"  [cyan]{label:<9}[/]", text, _INDENT)
        err.print()
        self._region = LiveRegion(redirect=False)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Update the view, and redraw it if the last drawing is old enough."""
        now = time.perf_counter()
        if isinstance(record, EpochRecord):
            self._history.append(record)
            self._best = record if record.is_best else self._best
            self._done, self._batch, self._ended = float(record.epoch), self._facts.num_batches, record
            if now > self._next:
                self._draw()
        elif now > self._next:
            self._done, self._batch = record.epoch - 1 + record.batch / record.num_batches, record.batch
            self._ended = None
            self._left = self._pace.left(record.epoch, record.batch)
            epoch, then, samples = self._samples
            if epoch == record.epoch and record.samples > samples:
                self._rate = f"{(record.samples - samples) / (now - then):,.0f} samples/s"
            self._samples = (record.epoch, now, record.samples)
            first, *others = formatted(record.means())
            self._step = [first, *([self._rate] if self._rate else ()), *others]
            self._draw()

    def end(self) -> None:
        """Close the live view; the last drawing remains on the terminal."""
        if self._region is not None:
            self._draw()
            self._region.close()
            self._region = None

    def _draw(self) -> None:
        if self._region is not None:
            started = time.perf_counter()
            if self._ended is not None:
                self._show_end(self._ended)
            parts = [self._table(), self._bars()] if self._history else [self._bars()]
            self._region.draw(Group(*parts))
            ended = time.perf_counter()
            self._next = ended + min(max(_REDRAW_SECONDS, _REST * (ended - started)), _SLOWEST_REDRAW_SECONDS)

    def _show_end(self, record: EpochRecord) -> None:
        """Put the means of an epoch beside the bars; only for a drawing, since most short epochs have none."""
        self._left = self._pace.left(record.epoch + 1, 0)
        train = {name: value for name, value in record.values.items() if name.startswith("train/")}
        self._step = formatted({name.removeprefix("train/"): value for name, value in train.items()})

    def _table(self) -> Text:
        """The best and the last epochs as lines of text; a rich table takes four times as long to draw."""
        records = self._records()
        columns, widths = _columns(records, wide=True)
        if _line_length(widths) > err.width:
            columns, widths = _columns(records, wide=False)
        while len(widths) > 2 and _line_length(widths) > err.width:
            widths.pop()  # a truncated number would be misleading
        text = Text(no_wrap=True, overflow="crop", end="")
        styles = ["dim", *("bold green" if record is self._best else "" for record in records)]
        for style, cells in zip(styles, zip(*columns, strict=True), strict=True):
            line = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
            text.append(f"{line}\n", style)
        return text

    def _records(self) -> list[EpochRecord]:
        """The last epochs, after the best one if that is older."""
        last = list(self._history)
        if self._best is None or any(record is self._best for record in last):
            return last
        return [self._best, *last[1 if len(last) == _ROWS else 0 :]]

    def _bars(self) -> Table:
        facts = self._facts
        grid = Table.grid(padding=(0, 1))
        is_whole = self._done == int(self._done) and self._done > facts.first_epoch
        epoch = int(self._done) if is_whole else int(self._done) + 1
        bar = min(_BAR, max(4, err.width // 4))
        whole = ProgressBar(total=facts.epochs, completed=self._done, width=bar)
        inner = ProgressBar(total=facts.num_batches, completed=self._batch, width=bar)
        room = err.width - bar - _BESIDE_BAR
        grid.add_row("run  ", whole, _fitted(filter(None, [f"epoch {epoch}/{facts.epochs}", self._left]), room))
        grid.add_row("epoch", inner, _fitted([f"batch {self._batch}/{facts.num_batches}", *self._step], room))
        return grid


def _columns(records: Sequence[EpochRecord], wide: bool) -> tuple[list[list[str]], list[int]]:
    """(the cells of every column, its heading first; the width of each)."""
    rows = [shown_columns(record, wide) for record in records]
    columns = [["epoch ", *(f"{r.epoch}{'*' if r.is_best else ' '}" for r in records)]]
    columns += [[LABELS.get(name, name), *(number(name, row[name]) for row in rows)] for name in rows[-1]]
    return columns, [max(map(len, column)) for column in columns]


def _line_length(widths: Sequence[int]) -> int:
    """The number of characters in a line whose columns are separated by two spaces."""
    return sum(widths) + 2 * (len(widths) - 1)


def _fitted(parts: Iterable[str], room: int) -> Text:
    """As many leading parts as fit on one line; a wrapped line would make the display jump."""
    kept: list[str] = []
    for part in parts:
        if kept and len("  ".join([*kept, part])) > room:
            break
        kept.append(part)
    return Text("  ".join(kept), no_wrap=True, overflow="ellipsis")
