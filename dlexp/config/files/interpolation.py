"""Size of a configuration with its ${...} resolved, computed without resolving them.

Ten values with ten references each expand to ten billion, all of which OmegaConf would resolve.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.config.schema.tree import ABSENT, value_at
from dlexp.errors import ConfigError, DlexpError, Problem

_MAX_CHARACTERS = 100_000
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*(?P<name>[^${},]*?)\s*(?P<default>,[^${}]*)?\}")
_DECODED = re.compile(r"\$\{\s*oc\.decode\s*:\s*\$\{\s*oc\.env\s*:[^${}]*\}\s*\}")
_REFERENCE = re.compile(r"\$\{\s*(?P<dots>\.*)(?P<path>\w[\w\[\].-]*)\s*\}")


def reads_environment(text: str) -> bool:
    """Return whether an unresolved value refers to an environment variable."""
    return _ENVIRONMENT.search(text) is not None


def check_references(raw: Mapping[str, Any]) -> None:
    """Raise ConfigError for references that are circular, too large, unsupported or to unset variables."""
    sizes: dict[str, int | None] = {}
    problems = []
    for path, text in _texts(raw, ""):
        try:
            size = _size(raw, path, text, sizes)
        except _RefusedError as refusal:
            problems.append(Problem(path, text[:80], str(refusal), code=refusal.code))
            continue
        unset = [m["name"] for m in _ENVIRONMENT.finditer(text) if not m["default"] and m["name"] not in os.environ]
        for name in unset:
            problems.append(
                Problem(
                    path,
                    text,
                    f"environment variable not set: {name}",
                    f"Set it in the shell: export {name}=...",
                    code="missing-value",
                )
            )
        if size > _MAX_CHARACTERS:
            problems.append(
                Problem(path, text[:80], f"must expand to at most {_MAX_CHARACTERS} characters", code="too-large")
            )
    if problems:
        raise ConfigError(problems)


class _RefusedError(DlexpError):
    """A reference that cannot be resolved; the message is the reason."""


def _size(raw: Mapping[str, Any], path: str, value: Any, sizes: dict[str, int | None]) -> int:
    """Return the number of characters of `value` at `path` with all references; None in `sizes`: in progress."""
    if path in sizes:
        known = sizes[path]
        if known is None:
            raise _RefusedError("circular reference", code="invalid-value")
        return known
    sizes[path] = None
    try:
        if isinstance(value, Mapping):
            size = sum(_size(raw, f"{path}.{key}", item, sizes) for key, item in value.items())
        elif isinstance(value, list):
            size = sum(_size(raw, f"{path}.{number}", item, sizes) for number, item in enumerate(value))
        else:
            size = len(str(value)) + sum(
                _size(raw, name, _at(raw, name), sizes) for name in _references(path, str(value))
            )
    except _RefusedError:
        del sizes[path]
        raise
    sizes[path] = min(size, _MAX_CHARACTERS + 1)
    return sizes[path] or 0


def _references(path: str, text: str) -> list[str]:
    """Return the absolute paths that the value at `path` refers to."""
    if "${" not in text:
        return []
    rest = _ENVIRONMENT.sub("", _DECODED.sub("", text))
    if "${" in _REFERENCE.sub("", rest):
        raise _RefusedError(
            "unsupported reference; supported: ${KEY}, ${oc.env:NAME} and ${oc.decode:${oc.env:NAME}}",
            code="not-supported",
        )
    found = []
    for match in _REFERENCE.finditer(rest):
        dots = len(match["dots"])
        base = path.split(".")[:-dots] if dots else []
        found.append(".".join([*base, match["path"].replace("[", ".").replace("]", "")]))
    return found


def _at(raw: Any, path: str) -> Any:
    """Return the value at `path`, "" if there is none, which is reported when it is resolved."""
    parts = path.split(".")
    for end in range(1, len(parts)):
        holder = value_at(raw, ".".join(parts[:end]))
        if isinstance(holder, str) and "${" in holder:
            raise _RefusedError(f"unsupported reference: {path} is inside another reference", code="not-supported")
    found = value_at(raw, path)
    return "" if found is ABSENT else found


def _texts(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every value that contains a reference."""
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from _texts(value, f"{path}.{key}" if path else str(key))
    if isinstance(node, str) and "${" in node:
        yield path, node
