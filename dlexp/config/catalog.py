"""What can be chosen: groups, their options and keys, read from the YAML files with nothing but PyYAML.

Help, completion and the search for the nearest name need names and line numbers only, and need them fast.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from dlexp.config.fields import Field
from dlexp.errors import ConfigError

GROUPS = ("model", "optim", "scheduler", "regularization", "data", "task", "loss", "trainer", "logger", "experiment")
SEARCH = "search"  # a folder of options too, that only `dlexp tune` reads
ALIASES = {"optimizer": "optim"}
_RESERVED = re.compile(r"^(defaults|_\w+_)$")  # keys that compose and build read, and no user sets
_OPTION_NAME = re.compile(r"^[A-Za-z0-9][\w-]*$")
_MAX_NODES = 10_000  # a hand-written file has hundreds; a YAML bomb has billions
_MAX_BYTES = 1_000_000
_MAX_DEPTH = 50


def builtin_root() -> Path:
    """The folder of dlexp's own options: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


@dataclass(frozen=True)
class Leaf:
    """One value in a YAML file: where it stands, and whether its text stands for itself and not for a number."""

    file: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        """`file:line`, as short as it can be said: conf/... for dlexp's own files, else as seen from here."""
        own = builtin_root().parent
        if self.file.is_relative_to(own):
            return f"{self.file.relative_to(own)}:{self.line}"
        return f"{min(os.path.relpath(self.file), str(self.file), key=len)}:{self.line}"

    quoted: bool = False


@dataclass(frozen=True)
class OptionFile:
    """One option of a group: its file, its line of description and its keys (dotted below the group)."""

    group: str
    name: str
    path: Path
    description: str
    leaves: Mapping[str, Leaf] = field(default_factory=dict)


def read_yaml(path: Path) -> yaml.Node | None:
    """The node graph of a YAML file, None for an empty one; refuses what is too large, too deep or no YAML.

    Raises ConfigError naming the file. Aliases are counted as often as they expand, before anything expands them.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError.one(str(path), "", f"cannot be read as text: {error}") from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, changed_ns: int, size: int) -> yaml.Node | None:
    """`read_yaml` once for each state of a file: one command asks for the same files many times."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.one(str(path), "", f"cannot be read as text: {error}") from error
    if len(text) > _MAX_BYTES:
        raise ConfigError.one(str(path), f"{len(text)} characters", f"a configuration file has at most {_MAX_BYTES}")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError.one(str(path), "", f"is no YAML: {_short(error)}") from error
    if root is not None and _weight(root, {}, 0) > _MAX_NODES:
        raise ConfigError.one(
            str(path), "", f"expands to more than {_MAX_NODES} values or nests deeper than {_MAX_DEPTH}"
        )
    return root


def leaves_of(path: Path) -> dict[str, Leaf]:
    """Dotted path -> place, for every value of a YAML file; lists are values."""
    root = read_yaml(path)
    return dict(_walk(root, "", path)) if root is not None else {}


class _NumberLoader(yaml.SafeLoader):
    """PyYAML's safe loader, except that 1e-5 is a number, as it is everywhere else in a configuration."""


_NumberLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _values(path: Path) -> Any:
    """What a YAML file says, as plain values. Raises ConfigError naming the file for what cannot be made one."""
    read_yaml(path)  # refuses a bomb before it is expanded
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_NumberLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # a date in no calendar, a list as a key
        raise ConfigError.one(str(path), "", f"is no YAML that can be used: {_short(error)}") from error


class Catalog:
    """The options under one or more roots; an earlier root hides a later one's file of the same name."""

    def __init__(self, config_dirs: tuple[Path, ...] = ()) -> None:
        for folder in config_dirs:
            if not folder.is_dir():
                raise ConfigError.one("--config-dir", folder, "is not a folder")
            _refuse_ways_out(folder.resolve())
        self.roots = (*(folder.resolve() for folder in config_dirs), builtin_root())
        self._options: dict[str, dict[str, OptionFile]] = {}
        self._keys: dict[tuple[str, str], dict[str, Leaf]] = {}
        self._fields: dict[str, dict[str, Field]] = {}

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that dlexp knows; folders of other names under a user's root are refused."""
        for root in self.roots:
            for folder in root.iterdir():
                if folder.is_dir() and folder.name not in (*GROUPS, SEARCH) and not folder.name.startswith((".", "_")):
                    raise ConfigError.one(str(folder), "", f"is no group; the groups are {', '.join(GROUPS)}")
        return GROUPS

    def options(self, group: str) -> dict[str, OptionFile]:
        """Option name -> file, sorted by name, without reading the keys of any."""
        if group not in self._options:
            found: dict[str, OptionFile] = {}
            for root in self.roots:
                for path in sorted((root / group).glob("*.yaml")):
                    if _OPTION_NAME.match(path.stem) and path.stem not in found:
                        found[path.stem] = OptionFile(group, path.stem, path, _description(path))
            self._options[group] = dict(sorted(found.items()))
        return self._options[group]

    def keys(self, group: str, option: str) -> dict[str, Leaf]:
        """Dotted path below the group -> place, with the keys of the files that the option extends."""
        if (group, option) not in self._keys:
            self._keys[group, option] = self._read_keys(group, option)
        return self._keys[group, option]

    def _read_keys(self, group: str, option: str) -> dict[str, Leaf]:
        path = self.options(group)[option].path
        root = read_yaml(path)
        found: dict[str, Leaf] = {}
        for base in _bases(root):
            base_path = next(
                (r / group / f"{base}.yaml" for r in self.roots if (r / group / f"{base}.yaml").is_file()), None
            )
            found |= leaves_of(base_path) if base_path else {}
        return found | leaves_of(path)

    def search_space(self, group: str, option: str) -> dict[str, Any]:
        """Key -> range, as `_search_` of the option and of the files that it extends offers it."""
        path = self.options(group)[option].path
        found: dict[str, Any] = {}
        for name in (*_bases(read_yaml(path)), option):
            file = next(
                (root / group / f"{name}.yaml" for root in self.roots if (root / group / f"{name}.yaml").is_file()),
                None,
            )
            content = _values(file) if file else None
            offered = content.get("_search_") if isinstance(content, dict) else None
            if offered is not None and not isinstance(offered, dict):
                raise ConfigError.one(f"{file}: _search_", offered, "must give each key a range")
            found |= {str(key): spec for key, spec in (offered or {}).items()}
        return found

    def fields(self, group: str) -> dict[str, Field]:
        """Key -> rule, from the `_fields.yaml` files of the group."""
        if group not in self._fields:
            self._fields[group] = self._read_fields(group)
        return self._fields[group]

    def _read_fields(self, group: str) -> dict[str, Field]:
        found: dict[str, Field] = {}
        for root in reversed(self.roots):
            path = root / group / "_fields.yaml"
            if path.is_file():
                found |= _rules(_values(path) or {}, path)
        return found


def _refuse_ways_out(root: Path) -> None:
    """Raise ConfigError for a link under a user's root that leads out of it: what is read is what lies there."""
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if not path.is_symlink():
                continue
            try:
                inside = path.resolve().is_relative_to(root)
            except (OSError, RuntimeError):  # a circle of links
                inside = False
            if not inside:
                remedy = "copy it, or name the folder that it leads to with a --config-dir of its own"
                raise ConfigError.one(str(path), "", f"is a link that leads out of {root}", remedy)


def _rules(entries: Any, path: Path) -> dict[str, Field]:
    """Key -> rule of one `_fields.yaml`. Raises ConfigError for an entry that is no rule."""
    found: dict[str, Field] = {}
    for key, entry in entries.items() if isinstance(entries, dict) else [("", entries)]:
        try:
            found[str(key)] = Field.from_mapping(entry)
        except (TypeError, ValueError, AttributeError) as error:
            rule = f"is no rule: {error}; write {{type: int, min: 1, help: ...}}"
            raise ConfigError.one(f"{path}: {key}", entry, rule) from error
    return found


def _description(path: Path) -> str:
    """The first comment line of the file."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("#") and not line.startswith("# @"):
                return line.lstrip("# ").strip()
            if line.strip() and not line.startswith("#"):
                break
    return ""


def _bases(root: yaml.Node | None) -> Iterator[str]:
    """Plain names in a `defaults:` list: files of the same group that this one extends."""
    if not isinstance(root, yaml.MappingNode):
        return
    for key, value in root.value:
        if key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            for entry in value.value:
                if isinstance(entry, yaml.ScalarNode) and entry.value != "_self_":
                    yield entry.value


def _walk(node: yaml.Node, prefix: str, path: Path) -> Iterator[tuple[str, Leaf]]:
    if not isinstance(node, yaml.MappingNode) or not node.value:
        if prefix:
            quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
            yield prefix, Leaf(path, node.start_mark.line + 1, _text(node), quoted)
        return
    for key, value in node.value:
        name = str(key.value)
        if not prefix and _RESERVED.match(name):
            continue
        yield from _walk(value, f"{prefix}.{name}" if prefix else name, path)


def _text(node: yaml.Node) -> str:
    """A scalar as it is written, a list as `[1, 2]`."""
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_text(item) for item in node.value)}]"
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _weight(node: yaml.Node, seen: dict[int, int], depth: int) -> int:
    """How many values `node` is once its aliases are expanded; too deep counts as too many."""
    if depth > _MAX_DEPTH:
        return _MAX_NODES + 1
    if id(node) not in seen:
        seen[id(node)] = _MAX_NODES + 1  # an alias to its own parent never ends
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        seen[id(node)] = min(1 + sum(_weight(child, seen, depth + 1) for child in flat), _MAX_NODES + 1)
    return seen[id(node)]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
