"""YAML files as nodes with line numbers, read with nothing but PyYAML, and refused before a bomb is expanded."""

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

_RESERVED = re.compile(r"^(defaults|_\w+_)$")  # keys that compose and build read, and no user sets
_MAX_NODES = 10_000  # a hand-written file has hundreds; a YAML bomb has billions
_MAX_BYTES = 1_000_000
_MAX_DEPTH = 50
_MAX_EXPLAINED = 100_000  # characters; PyYAML's own parser reads some hundred thousand in a second
_MAX_C_DEPTH = 2000
_BOMB = f"expands to more than {_MAX_NODES} values or nests deeper than {_MAX_DEPTH}"


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
    spelled: Any = None  # the text, or a tuple of the texts of a list; None for a mapping


def read_yaml(path: Path) -> yaml.Node | None:
    """The node graph of a YAML file, None for an empty one; refuses what is too large, too deep or no YAML.

    Raises ConfigError naming the file. Aliases are counted as often as they expand, before anything expands them.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, changed_ns: int, size: int) -> yaml.Node | None:
    """`read_yaml` once for each state of a file: one command asks for the same files many times."""
    try:
        text = read_text(path, _MAX_BYTES)
    except NotReadableError as error:
        raise ConfigError.one(
            str(path),
            "",
            f"cannot be read as a configuration: {error.strerror}",
            code="too-large" if size > _MAX_BYTES else "not-supported",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    try:
        if _is_bomb(text):
            raise ConfigError.one(str(path), "", _BOMB, code="too-large")
        root = _composed(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError.one(str(path), "", f"is no YAML: {_short(error)}", code="invalid-syntax") from error
    if root is not None and _weight(root, {}, 0) > _MAX_NODES:
        raise ConfigError.one(str(path), "", _BOMB, code="too-large")
    return root


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    code: Code = "system-error" if isinstance(error, OSError) else "invalid-syntax"
    code = "not-found" if isinstance(error, FileNotFoundError) else code
    return ConfigError.one(str(path), "", f"cannot be read as text: {error}", code=code)


def _is_bomb(text: str) -> bool:
    """Whether a text holds more values, or nests deeper, than a configuration may; aliases count once here.

    The parser hands out events one by one and does not recurse, so that the first one too many ends the reading: to
    compose 1,500 levels takes seconds, and in C the process. Raises yaml.YAMLError.
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
    return False  # what is no YAML is explained better by PyYAML's own parser


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a text. Raises yaml.YAMLError, RecursionError.

    libyaml is ten times faster than PyYAML's own parser. It recurses in C, where too deep means the end of the process;
    nothing nests deeper than its longest line is wide, twice over, and has brackets. What it refuses, PyYAML explains.
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
    """Dotted path -> place, for every value of a YAML file; lists are values."""
    root = read_yaml(path)
    return dict(_walk(root, "", path)) if root is not None else {}


_NUMBER = re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")  # 1e-5, as everywhere else in a configuration


def _with_numbers(loader: type) -> type:
    """A loader like `loader`, to which 1e-5 is a number."""
    found: Any = type(f"Number{loader.__name__}", (loader,), {})
    found.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))
    return found  # type: ignore[no-any-return]


_NUMBERS = _with_numbers(yaml.SafeLoader)
_FAST_NUMBERS = _with_numbers(yaml.CSafeLoader) if yaml.__with_libyaml__ else None


def values_of(path: Path) -> Any:
    """What a YAML file says, as plain values. Raises ConfigError naming the file for what cannot be made one."""
    read_yaml(path)  # refuses a bomb before it is expanded
    try:
        return _with_either(read_text(path, _MAX_BYTES), yaml.load, _NUMBERS, _FAST_NUMBERS)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # a date in no calendar, a list as a key
        raise ConfigError.one(
            str(path), "", f"is no YAML that can be used: {_short(error)}", code="invalid-syntax"
        ) from error


def bases_of(root: yaml.Node | None) -> Iterator[str]:
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
            quoted = isinstance(node, yaml.ScalarNode) and bool(node.style)
            yield prefix, Leaf(path, node.start_mark.line + 1, _text(node), quoted, _spelled(node))
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


def _spelled(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return tuple(map(_spelled, node.value))
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


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
