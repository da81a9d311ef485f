"""The command `dlexp list`: reads the options of the groups, without importing hydra, rich or yaml."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError


def list_options(
    group: given.Group = None,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """List the options of all configuration groups, or of one."""
    from dlexp.config.files.catalog import Catalog

    catalog = Catalog(common_options(config_dir, None).config_dirs)
    if group is not None and group not in catalog.groups:
        from dlexp.text.nearest import nearest_name

        near = nearest_name(group, catalog.groups)
        remedy = f"Did you mean dlexp list {near}?" if near else f"The groups are {', '.join(catalog.groups)}."
        raise ConfigError.one(f"dlexp list {group}", "", "unknown group", remedy, code="unknown-option")
    found = {
        name: {option: file.description for option, file in catalog.options(name).items()}
        for name in ([group] if group else catalog.groups)
    }
    if json:
        print_json(found)
        return
    from dlexp.cli.views.inspection.list import options

    options(found)
