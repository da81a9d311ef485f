"""The command `dlexp list`: reads the options of the groups, without importing hydra, rich or yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.config.schema.names import METRICS
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.config.files.catalog import Catalog


def _metrics(catalog: Catalog) -> dict[str, dict[str, str]]:
    """Title -> name -> direction and description of the built-in metrics, then of the files of the user."""
    from dlexp.metrics.selection.catalog import CATALOG, MetricEntry

    def name(entry: MetricEntry, second: str) -> str:
        one = f"{entry.name}[{second}]"
        return {"only": one, "also": f"{entry.name}, {one}"}.get(entry.of_one, entry.name)

    def text(entry: MetricEntry) -> str:
        given = [f"{key}=..." for key, rule in entry.parameters.items() if "default" not in rule]
        return f"{entry.direction}: {entry.help}{f' ({given[0]})' if given else ''}"

    titles = {"scores": ("metrics of classes", "CLASS"), "values": ("metrics of values", "TARGET")}
    found = {
        title: {name(entry, second): text(entry) for entry in CATALOG[kind].values()}
        for kind, (title, second) in titles.items()
    }
    own = _described(METRICS, catalog)
    return found | ({"your own metrics": own} if own else {})


def _described(group: str, catalog: Catalog) -> dict[str, str]:
    """Option -> its description, or what is wrong with its file if it is one of the user."""
    found = {option: file.description for option, file in catalog.options(group).items()}
    own = {option: file.path for option, file in catalog.options(group).items() if _is_own(file.path, catalog)}
    if own:
        from dlexp.config.check.defaults import file_problems  # with yaml, for files of the user alone

        for option, path in own.items():
            if problems := file_problems(path, catalog):
                found[option] = f"cannot be used: {problems[0]}"
    return found


def _is_own(path: Path, catalog: Catalog) -> bool:
    return any(root in path.parents for root in catalog.roots[:-1])


def list_options(
    group: given.Group = None,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """List the options of all configuration groups, or of one."""
    from dlexp.config.files.catalog import Catalog

    catalog = Catalog(common_options(config_dir, None).config_dirs)
    if group is not None and group not in (*catalog.groups, METRICS):
        from dlexp.text.nearest import nearest_name

        near = nearest_name(group, (*catalog.groups, METRICS))
        remedy = f"Did you mean dlexp list {near}?" if near else f"The groups are {', '.join(catalog.groups)}."
        raise ConfigError.one(f"dlexp list {group}", "", "unknown group", remedy, code="unknown-option")
    found = {name: _described(name, catalog) for name in ([group] if group else catalog.groups)}
    if group == METRICS:
        found = _metrics(catalog)
    if json:
        print_json(found)
        return
    from dlexp.cli.views.inspection.list import options

    options(found)
