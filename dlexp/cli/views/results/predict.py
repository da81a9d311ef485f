"""The messages of `dlexp predict`, on standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import err, escape
from dlexp.findings import counted


def say(text: str) -> None:
    """Print a message while predictions are made."""
    err.print(f"[yellow]{escape(text)}[/]")


def show(content: Mapping[str, Any], quiet: bool) -> None:
    """Print the number of samples, the speed and the first errors."""
    if not quiet:
        where = f" in {content['out']}" if content["out"] else ""
        pace = f"{content['seconds']:.1f} s, {content['items_per_second']:,.0f} per second"
        err.print(
            f"{counted(content['items'], 'sample')}{escape(where)} "
            f"({pace}; {content['device']}, {content['precision']})"
        )
        if content["mean_of"]:
            err.print(f"each prediction is the mean of {len(content['mean_of'])} runs of {escape(content['run'])}")
    if content["bad"]:
        err.print(f"[bold red]{counted(content['bad'], 'sample')} could not be predicted[/]; see the column `error`:")
        for text in content["first_bad"]:
            err.print(f"  {escape(text)}")
        if content["bad"] > len(content["first_bad"]):
            err.print("  ...")
