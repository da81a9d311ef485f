"""Text and JSON of commands that answer without rich."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

import typer


def styled(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """`text` for `typer.echo`, which takes styles out where no terminal reads it; plain with NO_COLOR."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg=colour, bold=bold or None, dim=dim or None)


def accept_every_letter() -> None:
    """Let no letter end a command that the terminal's encoding lacks: a terminal shows `?`, a file keeps `\\u2026`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace" if stream.isatty() else "backslashreplace")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
