"""The output of `dlexp config --machine`: the machine settings, their reasons and the keys that override them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlexp.cli.console import escape, out

if TYPE_CHECKING:
    from dlexp.runtime.settings import Settings


def show(settings: Settings) -> None:
    """Print two lines for each setting."""
    width = max(len(entry.name) for entry in settings.entries)
    for entry in settings.entries:
        out.print(f"[bold]{entry.name:<{width}}[/]  {escape(entry.value)}")
        out.print(f"{'':<{width}}  [dim]{escape(entry.reason)}{_otherwise(entry.override)}[/]")


def _otherwise(override: str) -> str:
    return f" ({escape(override)})" if override != "-" else ""
