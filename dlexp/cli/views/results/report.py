"""The output of `dlexp report`: the page, and what is missing on it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dlexp.cli.console import err, escape, out


def show(path: Path, size: int, problems: Iterable[str]) -> None:
    """Print what is missing on the page, its path and its size in bytes."""
    for problem in problems:
        err.print(f"[yellow]missing on the page[/]: {escape(problem)}")
    near = min(os.path.relpath(path), str(path), key=len)
    out.print(f"  page     {escape(near)}  ({size / 1000:,.0f} kB, self-contained)")


def no_browser() -> None:
    """Print that the page could not be opened."""
    err.print("cannot open the page: no browser found")
