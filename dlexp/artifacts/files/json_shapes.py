"""Schemas of JSON files, and the first mismatch between a file and its schema.

RECORD = Record(required={"epoch": WHOLE}, optional={"best": OrNull(MapOf(NUMBER))})
mismatch({"epoch": 1, "best": []}, RECORD)     ->  "`best` must be an object or null, got a list"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MAX_DEPTH = 100  # nesting levels of objects and lists; files of dlexp have about ten
_MAX_SHOWN = 40  # characters of a wrong value


@dataclass(frozen=True)
class Kind:
    """The schema of a plain value; messages show `name`."""

    name: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class ListOf:
    """A list whose items share one schema."""

    item: Shape


@dataclass(frozen=True)
class MapOf:
    """An object with any keys, whose values share one schema."""

    item: Shape


@dataclass(frozen=True)
class OrNull:
    """A value of a schema, or null."""

    shape: Shape


@dataclass(frozen=True)
class Record:
    """An object with known keys; other keys may have any value."""

    required: Mapping[str, Shape] = field(default_factory=dict)
    optional: Mapping[str, Shape] = field(default_factory=dict)


Shape = Kind | ListOf | MapOf | OrNull | Record


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**1023  # finite, and a float can hold it


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


ANY = Kind("a value", lambda value: True)
TEXT = Kind("a text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a number", _is_number)
WHOLE = Kind("a whole number of 64 bits", lambda value: type(value) is int and -(2**63) <= value < 2**63)
TIME = Kind("a time with its zone, such as 2026-01-31T12:00:00+00:00", _is_time)
OBJECT = MapOf(ANY)


def mismatch(value: Any, shape: Shape) -> str:
    """A description of the first place where `value` does not match `shape`: expected and found; "" for a match."""
    return _mismatch(value, shape, "")


def is_too_deep(value: Any) -> bool:
    """Return whether lists and objects are nested more than MAX_DEPTH levels deep; without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for holder in level for item in _items(holder)]
        if not level:
            return False
    return True


def _mismatch(value: Any, shape: Shape, place: str) -> str:
    if isinstance(shape, OrNull):
        found = "" if value is None else _mismatch(value, shape.shape, place)
        is_own = found.startswith(f"{_named(place)} must be ")
        return found.replace(", got ", " or null, got ", 1) if is_own else found
    if isinstance(shape, Kind):
        return "" if shape.accepts(value) else _expected(place, shape.name, value)
    if isinstance(shape, ListOf):
        if not isinstance(value, list):
            return _expected(place, "a list", value)
        return _first(_mismatch(item, shape.item, f"{place}[{number}]") for number, item in enumerate(value))
    if not isinstance(value, Mapping):
        return _expected(place, "an object", value)
    if isinstance(shape, MapOf):
        return _first(_mismatch(item, shape.item, _below(place, key)) for key, item in value.items())
    missing = [key for key in shape.required if key not in value]
    if missing:
        return f"{_named(_below(place, missing[0]))} is missing"
    known = {**shape.required, **{key: one for key, one in shape.optional.items() if key in value}}
    return _first(_mismatch(value[key], one, _below(place, key)) for key, one in known.items())


def _items(holder: Any) -> list[Any]:
    if isinstance(holder, dict):  # JSON has no other mappings, and to ask for those takes five times as long
        return [item for item in holder.values() if isinstance(item, dict | list)]
    return [item for item in holder if isinstance(item, dict | list)] if isinstance(holder, list) else []


def _first(found: Any) -> str:
    return next((text for text in found if text), "")


def _expected(place: str, wanted: str, value: Any) -> str:
    return f"{_named(place)} must be {wanted}, got {_shown(value)}"


def _named(place: str) -> str:
    return f"`{place}`" if place else "the content"


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _shown(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
