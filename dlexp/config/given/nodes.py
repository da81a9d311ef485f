"""YAML nodes of a given file: keys with their places, and values as plain containers or in the override grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from dlexp.config.files.given import GivenFile
from dlexp.config.files.words import FileWord
from dlexp.config.origins import read_scalar
from dlexp.config.schema.names import GROUPS
from dlexp.errors import Problem
from dlexp.text.quoting import value as grammar_value

_TAG = "tag:yaml.org,2002:"
_TAGS = {
    f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "timestamp", "merge", "value")
}
# A number that YAML and the override grammar read alike, so that it is kept as written.
_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")

LeafRule = Callable[[str, yaml.MappingNode], bool]


@dataclass(frozen=True)
class Entry:
    """A key of a file with its value.

    Attributes:
        path: The dotted key.
        node: Its value.
        place: `file:line` of the key.
    """

    path: str
    node: yaml.Node
    place: str


@dataclass
class FileReading:
    """A given file that is being read.

    Attributes:
        file: The file.
        problems: What is wrong with it, so far.
    """

    file: GivenFile
    problems: list[Problem] = field(default_factory=list)

    def pairs(self, node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield (name, key, value) of a mapping, with `<<` expanded; a key that is given twice is a problem."""
        seen: dict[str, yaml.Node] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    for name, *pair in self.pairs(source, prefix) if isinstance(source, yaml.MappingNode) else ():
                        merged.setdefault(name, (pair[0], pair[1]))
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.problem(
                    prefix or "the file", "", "a key must be a name", "Write KEY: VALUE", key, "invalid-syntax"
                )
                continue
            name = str(key.value)
            if name in seen:
                line = seen[name].start_mark.line + 1
                rule = f"given twice, first in line {line}"
                remedy = "Remove one of the two lines."
                if name in GROUPS and not prefix:
                    remedy = f"Write {name}: OPTION once, and its keys with dots: {name}.KEY: VALUE"
                self.problem(f"{prefix}{name}", _shown(value), rule, remedy, key, "invalid-syntax")
                continue
            seen[name] = key
            yield name, key, value
        yield from ((name, *pair) for name, pair in merged.items() if name not in seen)

    def entries(self, node: yaml.MappingNode, prefix: str, is_leaf: LeafRule) -> Iterator[Entry]:
        """Yield every value below `node`, nested or with dotted keys.

        Args:
            node: A mapping.
            prefix: Its dotted path with a dot behind, "" for the file.
            is_leaf: Whether a mapping, given with its path, is one value.
        """
        for name, key, value in self.pairs(node, prefix):
            path = f"{prefix}{name}"
            if isinstance(value, yaml.MappingNode) and value.value and not is_leaf(path, value):
                yield from self.entries(value, f"{path}.", is_leaf)
            elif not isinstance(value, yaml.MappingNode) or value.value or prefix:
                yield Entry(path, value, self.file.place(key))

    def value(self, node: yaml.Node, as_text: bool = False) -> Any:
        """Return a node as plain containers; numbers, booleans and dates as written if `as_text`."""
        if self.has_own_tag(node):
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, as_text) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return {name: self.value(value, as_text) for name, _, value in self.pairs(node)}
        assert isinstance(node, yaml.ScalarNode)
        return scalar(node, as_text)

    def has_own_tag(self, node: yaml.Node) -> bool:
        """Return whether a node has a tag such as !!python/name, which is a problem."""
        if node.tag in _TAGS:
            return False
        tag = node.tag.replace(_TAG, "!!")
        self.problem(tag, "", "is not supported in a configuration file", "Remove the tag.", node, "untrusted")
        return True

    def word(self, entry: Entry, as_text: bool) -> FileWord:
        """Return an entry as an override."""
        return self.setting(entry.path, self.grammar(entry.node, as_text), entry.place)

    def grammar(self, node: yaml.Node, as_text: bool) -> str:
        """Return a node in the override grammar."""
        is_plain = isinstance(node, yaml.ScalarNode) and not node.style and node.tag in _TAGS
        if is_plain and not as_text and _NUMBER.fullmatch(node.value):
            return str(node.value)
        return grammar_value(self.value(node, as_text), references=True)

    def setting(self, path: str, text: str, place: str) -> FileWord:
        """Return an override of this file."""
        return FileWord(f"{path}={text}", place)

    def problem(self, where: str, given: str, rule: str, remedy: str, node: yaml.Node, code: Any) -> None:
        """Add a problem at a node, once."""
        found = Problem(where, given, rule, remedy, self.file.place(node), code=code)
        if found not in self.problems:
            self.problems.append(found)


def scalar(node: yaml.ScalarNode, as_text: bool) -> Any:
    """Return the value of a scalar as OmegaConf reads it; as written if `as_text`, null excepted."""
    text = str(node.value)
    if node.style:
        return text
    found = read_scalar(text)
    return text if as_text and found is not None else found


def _shown(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
