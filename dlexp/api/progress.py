"""Progress of a training in Python: a bar and the last epoch in a notebook, otherwise a line per epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from dlexp.api.tables import in_notebook
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.report.number_format import number
from dlexp.text.printable import printable_lines
from dlexp.text.time_format import spoken
from dlexp.workflows.reporter import Reporter, RunFacts

_REDRAW_SECONDS = 0.2
_SHOWN = ("model", "task", "data", "optim", "machine", "resumed")


def progress_of(is_shown: bool) -> Reporter:
    """The display of a call: a bar in a notebook, otherwise lines on standard error; messages alone if not shown."""
    if not is_shown:
        return Messages()
    return NotebookProgress() if in_notebook() else LineProgress()


def say_of(is_shown: bool) -> Callable[[str], None]:
    """Receives what a call is doing: a line on standard error each, or nothing if not shown."""
    return Messages().say if is_shown else lambda text: None


class Messages:
    """A display that shows messages only."""

    def say(self, text: str) -> None:
        """Print a line on standard error."""
        print(printable_lines(text), file=sys.stderr, flush=True)

    def begin(self, facts: RunFacts) -> None:
        """Print nothing."""

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Print nothing."""

    def end(self) -> None:
        """Print nothing."""


class LineProgress(Messages):
    """The facts of the run, then a line per epoch."""

    def begin(self, facts: RunFacts) -> None:
        """Print a line per fact."""
        self._clock = _Clock(facts)
        for label, text in {**facts.facts, "run": facts.run_dir}.items():
            self.say(f"{label}: {text}")

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Print an epoch."""
        if isinstance(record, EpochRecord):
            best = "  best" if record.is_best else ""
            left = self._clock.left(record.epoch)
            self.say(f"epoch {record.epoch}/{record.epochs}  {'  '.join(_metrics(record))}  {left} left{best}")


class NotebookProgress(Messages):
    """A bar over the epochs and the metrics of the last and of the best epoch, in one output of the cell."""

    def begin(self, facts: RunFacts) -> None:
        """Show the facts and an empty bar."""
        from IPython.display import display

        self._facts, self._clock = facts, _Clock(facts)
        self._done, self._next = float(facts.first_epoch), 0.0
        self._left, self._last, self._best = "", "", ""
        self._output: Any = display(_Html(self._html(), self._text()), display_id=True)

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Redraw, a few times per second at most."""
        is_due = time.perf_counter() > self._next
        if isinstance(record, EpochRecord):
            self._done, self._left = float(record.epoch), self._clock.left(record.epoch)
            self._last = f"epoch {record.epoch}: {', '.join(_metrics(record))}"
            self._best = self._last if record.is_best else self._best
        elif is_due:
            self._done = record.epoch - 1 + record.batch / record.num_batches
        if is_due:
            self._draw()

    def end(self) -> None:
        """Draw the last state."""
        if hasattr(self, "_output"):
            self._left = ""
            self._draw()

    def _draw(self) -> None:
        self._next = time.perf_counter() + _REDRAW_SECONDS
        if self._output is not None:
            self._output.update(_Html(self._html(), self._text()))

    def _html(self) -> str:
        facts = "<br>".join(escape(self._facts.facts[name]) for name in _SHOWN if name in self._facts.facts)
        notes = "".join(f"<br>{escape(text)}" for label, text in self._facts.facts.items() if label.startswith("note "))
        bar = f'<progress value="{self._done:.3f}" max="{self._facts.epochs}" style="width:16em"></progress>'
        state = self._state() + (f", {self._left} left" if self._left else "")
        lines = [line for line in (self._last, f"best {self._best}" if self._best else "") if line]
        metrics = "".join(f"<br>{escape(line)}" for line in lines)
        more = f"<details><summary>{escape(self._facts.title)}</summary>{facts}</details>"
        return f"<div>{more}{bar} {state}{metrics}{notes}<br>{escape(self._facts.run_dir)}</div>"

    def _text(self) -> str:
        return f"{self._facts.title}: {'; '.join(filter(None, [self._state(), self._last]))}"

    def _state(self) -> str:
        """How much is done: in epochs, or as a share of a single one, such as a range test."""
        epochs = self._facts.epochs
        return f"{self._done:.0%} done" if epochs == 1 else f"{self._done:.3g} of {epochs} epochs"


class _Html:
    """An output as HTML, and as text where that cannot be shown."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._plain = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._plain


class _Clock:
    """Estimate of the remaining time, from the epochs of this call."""

    def __init__(self, facts: RunFacts) -> None:
        self._first, self._epochs, self._started = facts.first_epoch, facts.epochs, time.perf_counter()

    def left(self, epoch: int) -> str:
        """The estimated time to the end of training after `epoch` epochs."""
        done = max(1, epoch - self._first)
        return spoken((time.perf_counter() - self._started) / done * (self._epochs - epoch))


def _metrics(record: EpochRecord) -> list[str]:
    """The losses and the metric that decides, and one more of the validation split, as texts."""
    wanted = dict.fromkeys(["train/loss", "val/loss", record.monitor])
    others = [name for name in record.values if name.startswith("val/") and name not in wanted]
    names = (*(name for name in record.values if name.endswith("loss")), *wanted, *others[:1])
    return [f"{name} {number(name, record.values[name])}" for name in dict.fromkeys(names) if name in record.values]
