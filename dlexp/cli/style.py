"""Text and JSON of commands that answer without rich."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO, cast

import typer

from dlexp.text.printable import printable, printable_lines

_MARK = os.urandom(8).hex()  # of this process: no text can hold a style of its own
_STYLE = re.compile(f"\x1b{_MARK}(\\[[0-9;]*m)")


def styled(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """`text`, on one line, for `echo`, which takes styles out where no terminal reads it; plain with NO_COLOR."""
    text = printable(text)
    if os.environ.get("NO_COLOR"):
        return text
    begin, end = typer.style("\0", fg=colour, bold=bold or None, dim=dim or None).split("\0")
    return f"{begin}{text}{end}".replace("\x1b", f"\x1b{_MARK}")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text with the styles of `styled`; whatever else a terminal would obey becomes visible."""
    parts = _STYLE.split(text)  # texts, and between them the codes of styles
    clean = [f"\x1b{part}" if place % 2 else printable_lines(part) for place, part in enumerate(parts)]
    typer.echo("".join(clean), file=unfiltered(sys.stderr if err else sys.stdout), nl=nl)


class VisibleStream:
    """A text stream in which controls are visible: for tracebacks, warnings and the words of other libraries."""

    def __init__(self, stream: IO[str]) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write `text` with its controls made visible."""
        self.unfiltered.write(printable_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


@contextmanager
def visible_errors() -> Iterator[None]:
    """Show the controls in all that goes to standard error; also in the traceback of an exception that leaves here."""
    before = sys.stderr
    sys.stderr = cast(TextIO, VisibleStream(before))
    try:
        yield
    except SystemExit:
        sys.stderr = before
        raise


def unfiltered(stream: IO[str]) -> IO[str]:
    """The stream behind a `VisibleStream`; any other as it is."""
    found: IO[str] = getattr(stream, "unfiltered", stream)
    return found


def accept_every_letter() -> None:
    """Let no letter end a command that the terminal's encoding lacks: a terminal shows `?`, a file keeps `\\u2026`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace" if stream.isatty() else "backslashreplace")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    # json escapes all controls but DEL; \u007f is the same letter in JSON
    sys.stdout.write(json.dumps(value, indent=2, default=str).replace("\x7f", "\\u007f") + "\n")
