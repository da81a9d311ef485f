"""The option `dlexp config --plot-schedule`: plots the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.configuration import catalog_of, trusted_of
from dlexp.cli.style import print_json


def plot_schedule(overrides: Sequence[str], file: str, common: CommonOptions, as_json: bool) -> None:
    """Plot the learning rate of every update to `file`, "" for schedule.png."""
    from dlexp.config.compose import load

    found = load(overrides, catalog_of(common))
    trusted = trusted_of(common)
    from dlexp.cli.views.inspection.schedule import show
    from dlexp.workflows.schedule import plot_schedule as draw

    facts = draw(found, Path(file or "schedule.png"), trusted)
    if as_json:
        print_json(facts)
    else:
        show(facts)
