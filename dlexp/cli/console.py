"""The rich consoles of standard output and standard error, and the layout of tables."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import IO, Any

from rich import markup
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from dlexp.cli.style import unfiltered
from dlexp.report.number_format import number
from dlexp.text.printable import printable, printable_lines

_LEAST_TEXT = 30  # characters of a line of text on a narrow terminal
_END_SPACES = re.compile(r" +$", re.MULTILINE)


class CleanConsole(Console):
    """A console that shows control characters in texts instead of sending them to the terminal."""

    def __init__(self, *, stderr: bool = False, **others: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, **others)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, in a pipe or a file without the spaces that fill the lines of a table."""
        if self.is_terminal or not any(isinstance(item, Table) for item in objects):
            super().print(*objects, **options)
            return
        with self.capture() as captured:
            super().print(*objects, **options)
        super().print(Text(_END_SPACES.sub("", captured.get())), end="")

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, where rich would end the process."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    @property
    def file(self) -> IO[str]:
        """The stream that rich writes to, without `VisibleStream`: the segments are already clean."""
        return unfiltered(super().file)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable` with control characters made visible."""
        for segment in super().render(renderable, options):
            clean = segment.text if segment.control else printable_lines(segment.text)
            yield segment if clean == segment.text else Segment(clean, segment.style)


out = CleanConsole()
err = CleanConsole(stderr=True)


def escape(text: str) -> str:
    """A name, path or value escaped for rich markup, on one line."""
    return markup.escape(printable(text))


def escape_lines(text: str) -> str:
    """A text of several lines, escaped for rich markup."""
    return markup.escape(printable_lines(text))


def print_fact(console: Console, label: str, text: str, indent: int) -> None:
    """Print a label of `indent` characters and a text, which a terminal breaks between words under its own column."""
    clean = printable(text)
    if console.is_terminal:
        room = max(_LEAST_TEXT, console.width - indent)
        clean = ("\n" + " " * indent).join(wrap(clean, room, break_long_words=False, break_on_hyphens=False))
    console.print(f"{label}{escape_lines(clean)}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1) -> Table:
    """A table without borders.

    Cells are shortened with an ellipsis on a terminal that is too narrow, and never in a pipe or a file.

    Args:
        title: The text above the table, "" for none.
        columns: The headings.
        rows: The cells.
        numbers_from: The first right-aligned column, counted from 0.
    """
    made = Table(
        title=escape(title) or None,
        box=None,
        pad_edge=False,
        title_justify="left",
        title_style="bold",
        show_header=any(columns),
    )
    for position, column in enumerate(columns):
        made.add_column(
            escape(column),
            justify="right" if position >= numbers_from else "left",
            style="bold" if position == 0 else None,
        )
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    if not out.is_terminal:
        made.width = width_of([*map(printable, columns)], [[*map(printable, row)] for row in rows])
    return made


def width_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The number of characters in a line of a table: the widest cells, separated by two spaces."""
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    return max(1, sum(widths) + 2 * (len(widths) - 1))


def over_seeds(title: str, content: Mapping[str, Any]) -> Table:
    """Mean, standard deviation and n of every metric, and the value of each run if the terminal is wide enough."""
    runs = [path.rsplit("/", 1)[-1] for path in content["runs"]]
    columns = ["metric", "mean", "std", "n", *runs]
    rows = []
    for name, spread in content["over_seeds"].items():
        each = [number(name, row[name]) for row in content["metrics"]]
        rows.append([name, number(name, spread["mean"]), number(name, spread["std"]), str(spread["n"]), *each])
    if out.is_terminal and width_of(columns, rows) > out.width:
        columns, rows = columns[:4], [row[:4] for row in rows]
    return table(title, columns, rows)


def print_undefined(reasons: Mapping[str, str]) -> None:
    """Print why metrics have no value, a line for each reason."""
    for reason in dict.fromkeys(reasons.values()):
        names = [name for name, text in reasons.items() if text == reason]
        out.print(f"[yellow]undefined[/]: {escape(', '.join(names))}: {escape(reason)}")


def undrawn(content: Mapping[str, Any]) -> None:
    """Print a line for each figure that could not be drawn."""
    for problem in content.get("undrawn", ()):
        err.print(f"[yellow]not plotted[/]: {escape(str(problem))}")
