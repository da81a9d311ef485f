"""Dataclasses of numbers, texts, tuples and such dataclasses as plain values, and back with their types checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def to_plain(record: Any) -> dict[str, Any]:
    """The fields of a dataclass by name; tuples become lists."""
    return {one.name: _lists(getattr(record, one.name)) for one in fields(record)}


def from_plain(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """The instance of the dataclass `kind` that `to_plain` described.

    Raises ValueError for unknown or missing fields, and for a value that is not of the type of its field: int, float,
    str, bool, None, dataclasses, and tuples and unions of them.
    """
    hints = get_type_hints(kind)
    given = {name: _record(value, hints.get(name)) for name, value in values.items()}
    for name, value in given.items():
        if name in hints and not _fits(value, hints[name]):
            raise ValueError(f"`{name}` must be {kind.__annotations__.get(name)}, got {str(value)[:40]}")
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(str(error).partition(" ")[2]) from error


def _lists(value: Any) -> Any:
    if is_dataclass(value):
        return to_plain(value)
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _record(value: Any, hint: Any) -> Any:
    """A mapping as the dataclass that `hint` names, alone or in a union; lists as tuples."""
    if isinstance(value, Mapping):
        for one in (hint, *get_args(hint)):
            if isinstance(one, type) and is_dataclass(one):
                return from_plain(one, value)
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value has the type `hint`; types of other kinds are not checked."""
    inner = get_args(hint)
    if isinstance(hint, UnionType):
        return any(_fits(value, one) for one in inner)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint if hint in (int, str, bool, type(None)) else True
