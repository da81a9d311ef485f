"""YAML files as nodes with line numbers, read with PyYAML and limited in size before aliases are expanded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dlexp.artifacts.files.reading import NotReadableError, read_text
from dlexp.config.files.builtin import builtin_root
from dlexp.errors import Code, ConfigError

_RESERVED = re.compile(r"^(defaults|_\w+_)$")  # keys for composition and construction, not set by users
_MAX_NODES = 10_000  # a hand-written file has hundreds, a YAML bomb billions
MAX_BYTES = 1_000_000
_MAX_DEPTH = 50
_MAX_EXPLAINED = 100_000  # characters; PyYAML's pure Python parser reads some hundred thousand per second
_MAX_C_DEPTH = 2000
_BOMB = f"must have at most {_MAX_NODES} values and {_MAX_DEPTH} levels of nesting, with aliases expanded"


@dataclass(frozen=True)
class Leaf:
    """A value in a YAML file: its file, line and text, and whether it is quoted."""

    file: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        """`file:line`, as short as possible: conf/... for built-in files, else relative to the current directory."""
        own = builtin_root().parent
        if self.file.is_relative_to(own):
            return f"{self.file.relative_to(own)}:{self.line}"
        return f"{min(os.path.relpath(self.file), str(self.file), key=len)}:{self.line}"

    quoted: bool = False
    spelled: Any = None  # the text, or a tuple of the texts of a list; None for a mapping


def read_yaml(path: Path) -> yaml.Node | None:
    """Return the node graph of a YAML file, None for an empty one.

    Raises ConfigError that names the file, for a file that is too large, too deeply nested or not YAML. Aliases count
    as often as they expand, and are counted before they are expanded.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, changed_ns: int, size: int) -> yaml.Node | None:
    """Read a file once for each of its states: a command reads the same files many times."""
    try:
        text = read_text(path, MAX_BYTES)
    except NotReadableError as error:
        raise ConfigError.one(
            str(path),
            "",
            f"cannot be read as a configuration: {error.strerror}",
            code="too-large" if size > MAX_BYTES else "not-supported",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    try:
        return node_of(text, str(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError.one(str(path), "", f"invalid YAML: {_short(error)}", code="invalid-syntax") from error


def node_of(text: str, name: str) -> yaml.Node | None:
    """Return the node graph of a YAML text, None for an empty one.

    Raises ConfigError that names `name` for a text with too many values or levels; yaml.YAMLError, RecursionError.
    """
    if _is_bomb(text):
        raise ConfigError.one(name, "", _BOMB, code="too-large")
    root = _composed(text)
    if root is not None and _weight(root, {}, 0) > _MAX_NODES:
        raise ConfigError.one(name, "", _BOMB, code="too-large")
    return root


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    code: Code = "system-error" if isinstance(error, OSError) else "invalid-syntax"
    code = "not-found" if isinstance(error, FileNotFoundError) else code
    return ConfigError.one(str(path), "", f"cannot be read as text: {error}", code=code)


def _is_bomb(text: str) -> bool:
    """Return whether a text has too many values or levels of nesting; aliases count once here.

    The parser yields events one by one without recursion, so reading ends at the first event too many: composing 1,500
    levels takes seconds, and in C crashes the process. Raises yaml.YAMLError.
    """
    depth = values = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            values += isinstance(event, yaml.NodeEvent)
            if depth > _MAX_DEPTH or values > _MAX_NODES:
                return True
    except yaml.YAMLError:
        if len(text) > _MAX_EXPLAINED:
            raise
    return False  # PyYAML's pure Python parser explains invalid YAML better


def _composed(text: str) -> yaml.Node | None:
    """Return the node graph of a text. Raises yaml.YAMLError, RecursionError.

    libyaml is ten times faster than PyYAML's pure Python parser, but recurses in C, where deep nesting crashes the
    process. It parses texts whose number of brackets and longest line bound the depth; PyYAML parses the others, and
    explains what libyaml rejects.
    """
    node: yaml.Node | None = _with_either(text, yaml.compose, yaml.SafeLoader, getattr(yaml, "CSafeLoader", None))
    return node


def _with_either(text: str, read: Any, plain: type, fast: type | None) -> Any:
    is_shallow = text.count("[") + text.count("{") <= _MAX_C_DEPTH and max(map(len, text.split("\n"))) <= _MAX_C_DEPTH
    if is_shallow and fast is not None:
        try:
            return read(text, Loader=fast)
        except yaml.YAMLError:
            pass
    return read(text, Loader=plain)


def leaves_of(path: Path) -> dict[str, Leaf]:
    """Return dotted path -> place of every value of a YAML file; a list is one value."""
    root = read_yaml(path)
    return dict(_walk(root, "", path)) if root is not None else {}


def leaves_within(path: Path, key: str) -> dict[str, Leaf]:
    """Return name -> place of the values in the mapping `key` of a YAML file, whose names may have dots."""
    root = read_yaml(path)
    parts = [value for name, value in root.value if name.value == key] if isinstance(root, yaml.MappingNode) else []
    return {name: leaf for part in parts for name, leaf in _walk(part, "", path)}


_NUMBER = re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")  # 1e-5, which plain YAML reads as a string


def _with_numbers(loader: type) -> type:
    """Return a subclass of `loader` that reads 1e-5 as a number."""
    found: Any = type(f"Number{loader.__name__}", (loader,), {})
    found.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))
    return found  # type: ignore[no-any-return]


_NUMBERS = _with_numbers(yaml.SafeLoader)
_FAST_NUMBERS = _with_numbers(yaml.CSafeLoader) if yaml.__with_libyaml__ else None


def values_of(path: Path) -> Any:
    """Return the content of a YAML file as plain values. Raises ConfigError that names the file."""
    read_yaml(path)  # checks the size before aliases are expanded
    try:
        return _with_either(read_text(path, MAX_BYTES), yaml.load, _NUMBERS, _FAST_NUMBERS)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # an impossible date, a list as a key
        raise ConfigError.one(str(path), "", f"invalid YAML: {_short(error)}", code="invalid-syntax") from error


def bases_of(root: yaml.Node | None) -> Iterator[str]:
    """Yield the plain names of the `defaults` list: files of the same group that this file extends."""
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
            quoted = isinstance(node, yaml.ScalarNode) and bool(node.style)
            yield prefix, Leaf(path, node.start_mark.line + 1, _text(node), quoted, _spelled(node))
        return
    for key, value in node.value:
        name = str(key.value)
        if not prefix and _RESERVED.match(name):
            continue
        yield from _walk(value, f"{prefix}.{name}" if prefix else name, path)


def _text(node: yaml.Node) -> str:
    """Return a scalar as written, a list as `[1, 2]`."""
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_text(item) for item in node.value)}]"
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _spelled(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return tuple(map(_spelled, node.value))
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _weight(node: yaml.Node, seen: dict[int, int], depth: int) -> int:
    """Return the number of values of `node` with aliases expanded; too deep counts as too many."""
    if depth > _MAX_DEPTH:
        return _MAX_NODES + 1
    if id(node) not in seen:
        seen[id(node)] = _MAX_NODES + 1  # an alias to its own parent expands without end
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        seen[id(node)] = min(1 + sum(_weight(child, seen, depth + 1) for child in flat), _MAX_NODES + 1)
    return seen[id(node)]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
