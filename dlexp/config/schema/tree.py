"""Nested plain values, addressed by dotted paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ABSENT = object()


def value_at(tree: Any, path: str) -> Any:
    """Return the value at `path`, ABSENT if there is none; list items are numbered from 0."""
    node = tree
    for part in path.split("."):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return ABSENT
    return node


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted path and value of every leaf; lists, and values of keys such as `_KEY_`, are leaves."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value and not str(key).startswith("_"):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shown(value: object) -> str:
    """Return a value as written in YAML and on the command line."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
