"""The option `dlexp config --machine`: prints the machine settings, their reasons and the keys that override them."""

from __future__ import annotations

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.configuration import trusted_of
from dlexp.cli.console import escape, out, print_json
from dlexp.config.files.catalog import Catalog


def machine(overrides: tuple[str, ...], common: CommonOptions, as_json: bool) -> None:
    """Build the experiment without training it, and print its machine settings."""
    from dlexp.config.compose import load

    config = load(overrides, Catalog(common.config_dirs))
    from dlexp.assemble.experiment import assemble

    settings = assemble(config, trusted_of(common)).settings
    if as_json:
        print_json(settings.as_dict())
        return
    width = max(len(entry.name) for entry in settings.entries)
    for entry in settings.entries:
        out.print(f"[bold]{entry.name:<{width}}[/]  {escape(entry.value)}")
        out.print(f"{'':<{width}}  [dim]{escape(entry.reason)}{_otherwise(entry.override)}[/]")


def _otherwise(override: str) -> str:
    return f" ({escape(override)})" if override != "-" else ""
