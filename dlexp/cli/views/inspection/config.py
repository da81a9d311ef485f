"""The output of `dlexp config`. rich is imported for tables and notes only."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from dlexp.cli.style import echo, plain


def notes(texts: Sequence[str]) -> None:
    """Print advice on the configuration on standard error."""
    if texts:
        from dlexp.cli.console import err, escape

        for text in texts:
            err.print(f"[yellow]note[/]: {escape(text)}")


def rows(columns: Sequence[str], values: Iterable[Sequence[object]]) -> None:
    """Print a table of keys and what is known of each."""
    from dlexp.cli.console import out, table

    cells = [[str(name), *map(plain, others)] for name, *others in values]
    out.print(table("", columns, cells, numbers_from=9))


def document(text: str) -> None:
    """Print the configuration as YAML."""
    if sys.stdout.isatty():
        echo(text, nl=False)
    else:  # unchanged, so that it can be loaded again
        sys.stdout.write(text)
