"""The two consoles, and how errors and tables look on them."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dlexp.cli.style import print_json as print_json  # beside `table`, for commands that draw
from dlexp.report.numbers import number


class _Console(Console):
    """rich's console; a closed pipe is an error like any other, for whoever writes to decide."""

    def on_broken_pipe(self) -> None:
        """Raise what rich would end the process for."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1) -> Table:
    """A plain table; columns from number `numbers_from` on are right-aligned.

    A terminal that is too narrow shortens cells with an ellipsis; a pipe and a file get all of them.
    """
    made = Table(
        title=title or None,
        box=None,
        pad_edge=False,
        title_justify="left",
        title_style="bold",
        show_header=any(columns),
    )
    for position, column in enumerate(columns):
        made.add_column(
            column, justify="right" if position >= numbers_from else "left", style="bold" if position == 0 else None
        )
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    if not out.is_terminal:
        made.width = width_of(columns, rows)
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


def near(path: str) -> str:
    """A path as seen from here, when that is shorter."""
    return min(os.path.relpath(path), path, key=len)
