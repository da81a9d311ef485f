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
        if mean := _mean(content):
            err.print(f"each prediction is the mean of {escape(mean)}")
    if content["bad"]:
        err.print(f"[bold red]{counted(content['bad'], 'sample')} could not be predicted[/]; see the column `error`:")
        for text in content["first_bad"]:
            err.print(f"  {escape(text)}")
        if content["bad"] > len(content["first_bad"]):
            err.print("  ...")


def _mean(content: Mapping[str, Any]) -> str:
    """What a prediction is the mean of, "" for one network that saw each sample once."""
    runs, folder = [str(run) for run in content["mean_of"]], str(content["run"])
    several = f"{len(runs)} runs of {folder}"
    if folder in runs:
        several = f"{len(runs)} runs ({', '.join(runs[:4])}{' and others' if len(runs) > 4 else ''})"
    views = f"the views of --tta {content['views']}" if content["views"] else ""
    return f"{several}, each with {views}" if runs and views else several if runs else views
