"""The two consoles, and how errors and tables look on them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from rich import markup
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from dlexp.cli.style import print_json as print_json  # beside `table`, for commands that draw
from dlexp.cli.style import unfiltered
from dlexp.report.number_format import number
from dlexp.text.printable import printable, printable_lines


class CleanConsole(Console):
    """A console whose texts hold nothing that a terminal would obey; styles and cursor moves are rich's own."""

    def __init__(self, *, stderr: bool = False, **others: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, **others)

    def on_broken_pipe(self) -> None:
        """Raise an error, where rich would end the process: the caller decides what a closed pipe means."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    @property
    def file(self) -> IO[str]:
        """Where rich writes: past `VisibleStream`, for what it writes is clean already."""
        return unfiltered(super().file)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, their texts cleaned; nothing that is printed goes another way."""
        for segment in super().render(renderable, options):
            clean = segment.text if segment.control else printable_lines(segment.text)
            yield segment if clean == segment.text else Segment(clean, segment.style)


out = CleanConsole()
err = CleanConsole(stderr=True)


def escape(text: str) -> str:
    """A name, a path or a value for a text with markup: on one line, with brackets that stay brackets."""
    return markup.escape(printable(text))


def escape_lines(text: str) -> str:
    """The same for a text of several lines."""
    return markup.escape(printable_lines(text))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1) -> Table:
    """A plain table; columns from number `numbers_from` on are right-aligned.

    A terminal that is too narrow shortens cells with an ellipsis; a pipe and a file get all of them.
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
    """Characters of a line of a table: the widest cells, and two spaces between them."""
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    return max(1, sum(widths) + 2 * (len(widths) - 1))


def over_seeds(title: str, content: Mapping[str, Any]) -> Table:
    """Mean, standard deviation and n of every metric, with the value of each run where the terminal has room."""
    runs = [path.rsplit("/", 1)[-1] for path in content["runs"]]
    columns = ["metric", "mean", "std", "n", *runs]
    rows = []
    for name, spread in content["over_seeds"].items():
        each = [number(name, row[name]) for row in content["metrics"]]
        rows.append([name, number(name, spread["mean"]), number(name, spread["std"]), str(spread["n"]), *each])
    if out.is_terminal and width_of(columns, rows) > out.width:
        columns, rows = columns[:4], [row[:4] for row in rows]
    return table(title, columns, rows)


def undrawn(content: Mapping[str, Any]) -> None:
    """A line for each picture that could not be drawn; the result holds without it."""
    for problem in content.get("undrawn", ()):
        err.print(f"[yellow]no picture[/]: {escape(str(problem))}")


def near(path: str) -> str:
    """A path as seen from here, when that is shorter."""
    return min(os.path.relpath(path), path, key=len)
