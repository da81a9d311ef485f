"""The option `dlexp config --machine`: decides the machine settings without training."""

from __future__ import annotations

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.configuration import catalog_of, trusted_of
from dlexp.cli.style import print_json


def machine(overrides: tuple[str, ...], common: CommonOptions, as_json: bool) -> None:
    """Build the experiment without training it, and print its machine settings."""
    from dlexp.config.compose import load

    config = load(overrides, catalog_of(common))
    from dlexp.assemble.experiment import assemble
    from dlexp.cli.views.inspection.machine import show

    settings = assemble(config, trusted_of(common)).settings
    if as_json:
        print_json(settings.as_dict())
    else:
        show(settings)
