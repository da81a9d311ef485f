"""`dlexp config --machine`: what a run would decide here about the machine, why, and how to decide otherwise."""

from __future__ import annotations

from dlexp.cli.argv import Setting
from dlexp.cli.commands.configuration import trusted_of
from dlexp.cli.console import escape, out, print_json
from dlexp.config.files.catalog import Catalog


def machine(words: tuple[str, ...], setting: Setting, as_json: bool) -> None:
    """Build the run that `words` describe, without training it, and show its settings."""
    from dlexp.config.compose import load

    config = load(words, Catalog(setting.config_dirs))
    from dlexp.assemble.experiment import assemble

    settings = assemble(config, trusted_of(setting)).settings
    if as_json:
        print_json(settings.as_dict())
        return
    width = max(len(entry.name) for entry in settings.entries)
    for entry in settings.entries:
        out.print(f"[bold]{entry.name:<{width}}[/]  {escape(entry.value)}")
        out.print(f"{'':<{width}}  [dim]{escape(entry.reason)}{_otherwise(entry.override)}[/]")


def _otherwise(override: str) -> str:
    return f" ({escape(override)})" if override != "-" else ""
