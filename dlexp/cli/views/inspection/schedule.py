"""The output of `dlexp config --plot-schedule`: the numbers of the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import escape, out
from dlexp.cli.style import plain


def show(facts: Mapping[str, Any]) -> None:
    """Print a line for each fact that is known."""
    for name, value in facts.items():
        if value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else plain(value)
            out.print(f"  {name.replace('_', ' '):<21} {escape(text)}")
