"""Checks of a user's own configuration files before they are composed.

A defaults list is a list of files to read, so only options of known groups are allowed: no path, no package, no search
path. Every problem names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from dlexp.artifacts.files.reading import read_text
from dlexp.config.check.suggest import unknown_option
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.used_files import CHOICE, used_files
from dlexp.config.files.yaml_files import read_yaml
from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import nearest_name

_PACKAGE = re.compile(r"^\s*#\s*@(?P<words>.*)$")
_FILE = re.compile(r"^\w[\w-]*$")


def check_files(catalog: Catalog, groups: Mapping[str, str], words: Sequence[str] = ()) -> None:
    """Raise ConfigError with all problems of the files in the user's --config-dir that a configuration uses.

    Args:
        catalog: The options.
        groups: Group -> option that the line chooses.
        words: The other overrides.
    """
    if len(catalog.roots) == 1:
        return
    problems = [problem for path in used_files(catalog, groups, words) for problem in file_problems(path, catalog)]
    if problems:
        raise ConfigError(problems)


def file_problems(path: Path, catalog: Catalog) -> list[Problem]:
    """Return the problems of a file in a --config-dir."""
    root = next(root for root in catalog.roots if root in path.parents)
    try:
        return list(_problems(path, path.parent.relative_to(root).as_posix(), catalog))
    except ConfigError as error:
        return list(error.problems)


def _problems(path: Path, group: str, catalog: Catalog) -> Iterator[Problem]:
    root = read_yaml(path)
    yield from _header(path, group)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        yield Problem(str(path), "", "must contain `key: value` lines", code="invalid-syntax")
        return
    for key, value in root.value:
        origin = f"{path}:{key.start_mark.line + 1}"
        if key.value == "hydra":
            yield Problem(
                "hydra",
                "",
                "hydra.* is not supported: dlexp manages run directories and logging itself",
                "",
                origin,
                code="not-supported",
            )
        elif key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            for entry in value.value:
                yield from entry_problems(entry, group, f"{path}:{entry.start_mark.line + 1}", catalog)
            if group == "." and not any(entry.value == "_self_" for entry in value.value):
                yield Problem(
                    "defaults",
                    "",
                    "must contain _self_, the place of the file's own values",
                    "Add - _self_",
                    origin,
                    code="missing-value",
                )
        elif key.value == "defaults":
            yield Problem(
                "defaults", "", "must be a list", "Write - override /GROUP: OPTION", origin, code="invalid-type"
            )


def _header(path: Path, group: str) -> Iterator[Problem]:
    """Check the line `# @package ...`: `_global_` in an experiment, none in other files."""
    is_first = True
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        found = _PACKAGE.match(line)
        if found is None and line.strip() and not line.lstrip().startswith("#"):
            return
        allowed = "package _global_" if group == "experiment" else ""
        if found is not None and " ".join(found["words"].split()) != allowed:
            remedy = "Write # @package _global_" if allowed else "Remove the line."
            yield Problem(
                f"# @{found['words'].strip()}",
                "",
                "unsupported package: an experiment requires _global_, other files have none",
                remedy,
                f"{path}:{number}",
                code="not-supported",
            )
        elif found is not None and not is_first:
            rule = "has no effect below another comment"
            yield Problem(
                f"# @{allowed}", "", rule, "Make it the first line of the file.", f"{path}:{number}", code="no-effect"
            )
        is_first = is_first and (found is not None or not line.strip())


def entry_problems(entry: yaml.Node, group: str, origin: str, catalog: Catalog) -> Iterator[Problem]:
    """Check one entry of a defaults list: a file of the same group, or an option of another group."""
    if isinstance(entry, yaml.ScalarNode):
        files = {path.stem for root in catalog.roots for path in (root / group).glob("*.yaml")}
        if entry.value != "_self_" and not (_FILE.match(entry.value) and entry.value in files):
            near = nearest_name(entry.value, files)
            yield Problem(
                "defaults",
                entry.value,
                f"file not found in {group}",
                f"Did you mean {near}?" if near else "For another group, write - override /GROUP: OPTION",
                origin,
                code="not-found",
            )
        return
    for key, value in entry.value if isinstance(entry, yaml.MappingNode) else [(entry, entry)]:
        text = key.value if isinstance(key, yaml.ScalarNode) else ""
        found = CHOICE.match(text)
        name = found["group"] if found else ""
        rooted = found is not None and (found["root"] == "/" or group == ".")
        if found is None or not rooted or name not in catalog.groups or found["package"] not in (None, name):
            remedy = f"Write - override /GROUP: OPTION, where GROUP is one of {', '.join(catalog.groups)}."
            yield Problem("defaults", text, "must choose an option of a group", remedy, origin, code="invalid-value")
            continue
        option = value.value if isinstance(value, yaml.ScalarNode) else "a list"
        options = catalog.options(name)
        if option not in options and not (name == "experiment" and option in ("null", "~", "")):
            yield unknown_option(name, str(option), catalog, origin=origin)
