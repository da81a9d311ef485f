"""The catalog of configuration options: groups, their options and the keys of each, from the YAML files.

Names and descriptions are found without parsing YAML, keys with PyYAML alone: help, completion and suggestions of the
nearest name must be fast.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlexp.artifacts.files.reading import read_text
from dlexp.config.files.builtin import builtin_root as builtin_root
from dlexp.config.files.builtin import option_file
from dlexp.config.files.option_keys import key_names
from dlexp.config.files.own_folders import VARIABLE, folder_of_variable
from dlexp.config.schema.names import GROUPS, METRICS, SEARCH
from dlexp.errors import Code, ConfigError, Problem

if TYPE_CHECKING:
    from dlexp.config.files.yaml_files import Leaf
    from dlexp.config.schema.fields import Field

_OPTION_NAME = re.compile(r"^[A-Za-z0-9][\w-]*$")


@dataclass(frozen=True)
class OptionFile:
    """An option of a group: its file, its one-line description and its keys (dotted, without the group)."""

    group: str
    name: str
    path: Path
    description: str
    leaves: Mapping[str, Leaf] = field(default_factory=dict)


class Catalog:
    """The options under one or more directories; a file of an earlier directory hides those of the same name.

    Args:
        config_dirs: The directories of the user.
        trusted: Names of the packages that the options may call, None if no option is going to be called.
    """

    def __init__(self, config_dirs: tuple[Path, ...] = (), trusted: tuple[str, ...] | None = None) -> None:
        for folder in config_dirs:
            if not folder.is_dir():
                raise ConfigError([_missing(folder)])
            _refuse_ways_out(folder.resolve())
        self.config_dirs, self.trusted = config_dirs, trusted
        self.roots = (*(folder.resolve() for folder in config_dirs), builtin_root())
        self._options: dict[str, dict[str, OptionFile]] = {}
        self._keys: dict[tuple[str, str], dict[str, Leaf]] = {}
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}
        self._fields: dict[str, dict[str, Field]] = {}

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of all groups. Raises ConfigError for other directories in a user's --config-dir."""
        for root in self.roots:
            for folder in root.iterdir():
                known = folder.name in (*GROUPS, METRICS, SEARCH) or folder.name.startswith((".", "_"))
                if folder.is_dir() and not known:
                    raise ConfigError.one(
                        str(folder), "", f"unknown group; available: {', '.join(GROUPS)}", code="unknown-value"
                    )
        return GROUPS

    def options(self, group: str) -> dict[str, OptionFile]:
        """Return option name -> file, sorted by name, without keys."""
        if group not in self._options:
            found: dict[str, OptionFile] = {}
            for root in self.roots:
                for path in sorted((root / group).glob("*.yaml")):
                    if _OPTION_NAME.match(path.stem) and path.stem not in found:
                        found[path.stem] = OptionFile(group, path.stem, path, _description(path))
            self._options[group] = dict(sorted(found.items()))
        return self._options[group]

    def keys(self, group: str, option: str) -> dict[str, Leaf]:
        """Return dotted path (without the group) -> place of each key of an option and of the files it extends."""
        if (group, option) not in self._keys:
            self._keys[group, option] = self._read_keys(group, option)
        return self._keys[group, option]

    def key_names(self, group: str, option: str) -> tuple[str, ...]:
        """Return the top-level keys of an option, found without parsing YAML."""
        if (group, option) not in self._names:
            self._names[group, option] = tuple(key_names(self.roots, group, option))
        return self._names[group, option]

    def _read_keys(self, group: str, option: str) -> dict[str, Leaf]:
        from dlexp.config.files.yaml_files import bases_of, leaves_of, read_yaml

        path = self.options(group)[option].path
        root = read_yaml(path)
        found: dict[str, Leaf] = {}
        for base in bases_of(root):
            base_path = option_file(self.roots, group, base)
            found |= leaves_of(base_path) if base_path else {}
        return found | leaves_of(path)

    def search_space(self, group: str, option: str) -> dict[str, Any]:
        """Return key -> range from `_search_` of an option and of the files it extends."""
        from dlexp.config.files.yaml_files import bases_of, read_yaml, values_of

        path = self.options(group)[option].path
        found: dict[str, Any] = {}
        for name in (*bases_of(read_yaml(path)), option):
            file = option_file(self.roots, group, name)
            content = values_of(file) if file else None
            offered = content.get("_search_") if isinstance(content, dict) else None
            if offered is not None and not isinstance(offered, dict):
                raise ConfigError.one(f"{file}: _search_", offered, "must map each key to a range", code="invalid-type")
            found |= {str(key): spec for key, spec in (offered or {}).items()}
        return found

    def fields(self, group: str) -> dict[str, Field]:
        """Return key -> rule from the `_fields.yaml` files of a group."""
        if group not in self._fields:
            self._fields[group] = self._read_fields(group)
        return self._fields[group]

    def _read_fields(self, group: str) -> dict[str, Field]:
        from dlexp.config.files.yaml_files import values_of

        found: dict[str, Field] = {}
        for root in reversed(self.roots):
            path = root / group / "_fields.yaml"
            if path.is_file():
                found |= _rules(values_of(path) or {}, path)
        return found


def _missing(folder: Path) -> Problem:
    """Return the problem of a --config-dir, or of DLEXP_CONFIG_DIR, that does not exist."""
    from dlexp.text.nearest import nearest_name
    from dlexp.text.quoting import shell_word

    is_variable = folder == folder_of_variable()
    where = VARIABLE if is_variable else "--config-dir"
    sign = "=" if is_variable else " "
    try:
        there = {path.name: path for path in folder.parent.iterdir() if path.is_dir()}
    except OSError:
        there = {}
    near = nearest_name(folder.name, there)
    with_options = [path for path in there.values() if any((path / group).is_dir() for group in GROUPS)]
    found = there[near] if near else min(with_options, default=None)
    remedy = f"Did you mean {where}{sign}{shell_word(str(found))}?" if found else ""
    if found is None:
        remedy = f"Create it: mkdir -p {shell_word(str(folder / 'model'))}"
    is_file = folder.exists()
    rule = "is not a directory" if is_file else "directory not found"
    code: Code = "invalid-value" if is_file else "not-found"
    return Problem(where, str(folder), rule, "" if is_file and not found else remedy, code=code)


def _refuse_ways_out(root: Path) -> None:
    """Raise ConfigError for a symbolic link in a --config-dir that points outside of it."""
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if not path.is_symlink():
                continue
            try:
                inside = path.resolve().is_relative_to(root)
            except (OSError, RuntimeError):  # a cycle of links
                inside = False
            if not inside:
                remedy = "Copy the file, or add the directory that it points to with another --config-dir"
                raise ConfigError.one(
                    str(path), "", f"symbolic link points outside of {root}", remedy, code="untrusted"
                )


def _rules(entries: Any, path: Path) -> dict[str, Field]:
    """Return key -> rule of one `_fields.yaml`. Raises ConfigError for an invalid entry."""
    from dlexp.config.schema.fields import Field

    found: dict[str, Field] = {}
    for key, entry in entries.items() if isinstance(entries, dict) else [("", entries)]:
        try:
            found[str(key)] = Field.from_mapping(entry)
        except (TypeError, ValueError, AttributeError) as error:
            rule = f"invalid rule: {error}"
            remedy = "Write a rule such as {type: int, min: 1, help: ...}"
            raise ConfigError.one(f"{path}: {key}", entry, rule, remedy, code="invalid-value") from error
    return found


def _description(path: Path) -> str:
    """Return the first comment line of a file."""
    try:
        lines = read_text(path, errors="replace").split("\n")
    except OSError:  # reported when the option is chosen
        return ""
    for line in lines:
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ").strip()
        if line.strip() and not line.startswith("#"):
            break
    return ""
