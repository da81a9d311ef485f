"""The command `dlexp list`: prints the options of the groups, without importing hydra, rich or yaml."""

from __future__ import annotations

from dlexp.cli.argv import CommonOptions
from dlexp.cli.style import echo, print_json, styled
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.names import ALIASES
from dlexp.errors import ConfigError


def list_options(group: str | None, common: CommonOptions, as_json: bool) -> None:
    """Print the options of one group or of all groups. Raises ConfigError for an unknown group."""
    catalog = Catalog(common.config_dirs)
    group = ALIASES.get(group or "", group)
    if group is not None and group not in catalog.groups:
        from dlexp.config.check.suggest import nearest_name

        near = nearest_name(group, catalog.groups)
        remedy = f"Did you mean dlexp list {near}?" if near else f"The groups are {', '.join(catalog.groups)}."
        raise ConfigError.one(f"dlexp list {group}", "", "unknown group", remedy, code="unknown-option")
    found = {
        name: {option: file.description for option, file in catalog.options(name).items()}
        for name in ([group] if group else catalog.groups)
    }
    if as_json:
        print_json(found)
        return
    for name, options in found.items():
        echo(styled(name, bold=True))
        width = max((len(option) for option in options), default=0)
        for option, description in options.items():
            echo(f"  {option:<{width}}  {styled(description, dim=True)}")
