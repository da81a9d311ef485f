"""`dlexp config --plot-schedule`: words in, a picture and its numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlexp.cli.argv import Setting
from dlexp.cli.commands.configuration import trusted_of
from dlexp.cli.console import escape, out, print_json
from dlexp.cli.views import results
from dlexp.config.files.catalog import Catalog


def plot_schedule(words: Sequence[str], file: str, setting: Setting, as_json: bool) -> None:
    """Draw the learning rate of every update of a run into `file`, "" for schedule.png."""
    from dlexp.config.compose import load

    found = load(words, Catalog(setting.config_dirs))
    trusted = trusted_of(setting)
    from dlexp.workflows.schedule import plot_schedule as draw

    facts = draw(found, Path(file or "schedule.png"), trusted)
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else results.plain(value)
            out.print(f"  {name.replace('_', ' '):<21} {escape(text)}")
