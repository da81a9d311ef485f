"""Styled text and JSON output, without importing rich."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TextIO, cast

import typer

from dlexp.text.printable import printable, printable_lines

_MARK = os.urandom(8).hex()  # unique to this process, so that no text can contain a style
_STYLE = re.compile(f"\x1b{_MARK}(\\[[0-9;]*m)")


def styled(text: str, color: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """`text` on one line with a style for `echo`, which removes styles without a terminal; plain with NO_COLOR."""
    text = printable(text)
    if os.environ.get("NO_COLOR"):
        return text
    begin, end = typer.style("\0", fg=color, bold=bold or None, dim=dim or None).split("\0")
    return f"{begin}{text}{end}".replace("\x1b", f"\x1b{_MARK}")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text with the styles of `styled`; other control characters are made visible."""
    parts = _STYLE.split(text)  # texts, separated by style codes
    clean = [f"\x1b{part}" if place % 2 else printable_lines(part) for place, part in enumerate(parts)]
    typer.echo("".join(clean), file=unfiltered(sys.stderr if err else sys.stdout), nl=nl)


class VisibleStream:
    """A text stream that makes control characters visible, for tracebacks, warnings and output of other libraries."""

    def __init__(self, stream: IO[str]) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write `text` with visible control characters."""
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
    """Make control characters visible in standard error, including the traceback of an exception raised within."""
    before = sys.stderr
    sys.stderr = cast(TextIO, VisibleStream(before))
    try:
        yield
    except SystemExit:
        sys.stderr = before
        raise


def unfiltered(stream: IO[str]) -> IO[str]:
    """The stream wrapped by a `VisibleStream`; any other stream unchanged."""
    found: IO[str] = getattr(stream, "unfiltered", stream)
    return found


def replace_unencodable_characters() -> None:
    """Replace characters that the encoding of a stream lacks: with `?` on a terminal, with `\\u2026` in a file."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace" if stream.isatty() else "backslashreplace")


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    # json escapes all control characters except DEL
    sys.stdout.write(json.dumps(value, indent=2, default=str).replace("\x7f", "\\u007f") + "\n")


def short_path(path: str) -> str:
    """A path, relative to the current directory if that is shorter."""
    return min(os.path.relpath(path), path, key=len)


def plain(value: object) -> str:
    """A configuration value in YAML notation."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)
