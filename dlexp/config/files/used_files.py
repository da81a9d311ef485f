"""The files of a --config-dir that a configuration uses: the options that it chooses, and what they extend and choose.

A file that is not used is not read, so that a mistake in it stops no other run; `dlexp list` names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from dlexp.config.files.builtin import option_file
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.yaml_files import read_yaml
from dlexp.config.schema.names import METRICS, SEARCH
from dlexp.errors import ConfigError

CHOICE = re.compile(r"^(?:override\s+)?(?P<root>/?)(?P<group>\w+)(?:@_global_\.(?P<package>\w+))?$")
_NAME = re.compile(r"\w[\w-]*")


def used_files(catalog: Catalog, groups: Mapping[str, str], words: Sequence[str]) -> list[Path]:
    """Return the files of the user that a configuration uses, in the order of the folders.

    Args:
        catalog: The options.
        groups: Group -> option that the line chooses.
        words: The other overrides, which name metrics and search spaces.
    """
    chosen = _chosen(catalog, groups)
    named = {name for word in words for name in _NAME.findall(word)}
    found = []
    for root in catalog.roots[:-1]:
        for path in sorted(root.rglob("*.yaml")):
            group = path.parent.relative_to(root).as_posix()
            is_by_name = group in (METRICS, SEARCH) and path.stem in named
            is_part = path.stem.startswith("_") or group not in (*catalog.groups, METRICS, SEARCH)
            if (group, path.stem) in chosen or is_by_name or is_part:
                found.append(path)
    return found


def choices_of(path: Path) -> dict[str, str]:
    """Return group -> option of the defaults list of a file outside the groups, such as an experiment."""
    return dict(_entries(path, "experiment"))


def _chosen(catalog: Catalog, groups: Mapping[str, str]) -> set[tuple[str, str]]:
    """(group, option) of everything that config.yaml and the line choose, and that those files extend and choose."""
    found: set[tuple[str, str]] = set()
    waiting = [(".", "config"), *groups.items()]
    while waiting:
        if (place := waiting.pop()) in found:
            continue
        found.add(place)
        path = option_file(catalog.roots, *place)
        waiting += list(_entries(path, place[0])) if path else []
    return found


def _entries(path: Path, group: str) -> Iterator[tuple[str, str]]:
    """(group, option) of the defaults list of a file; none of a file that cannot be read, which is reported later."""
    try:
        root = read_yaml(path)
    except ConfigError:
        return
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        for entry in value.value if key.value == "defaults" and isinstance(value, yaml.SequenceNode) else ():
            if isinstance(entry, yaml.ScalarNode):
                yield group, entry.value
            for name, option in entry.value if isinstance(entry, yaml.MappingNode) else ():
                choice = CHOICE.match(name.value) if isinstance(name, yaml.ScalarNode) else None
                if choice is not None and isinstance(option, yaml.ScalarNode):
                    yield choice["group"], option.value
