"""Validation, comparison and storage of the values of a choice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def stored_choices(choices: Sequence[Any]) -> list[Any]:
    """The choices as stored in a study: JSON texts if one is a list, or if booleans are mixed with numbers.

    Optuna does not support lists, and does not distinguish 1 from true.
    """
    kinds = {type(choice) for choice in choices}
    if list in kinds or (bool in kinds and kinds & {int, float}):
        return [json.dumps(choice) for choice in choices]
    return list(choices)


def checked_choices(choices: Any, kind: str) -> tuple[Any, ...]:
    """The validated values of a choice. Raises ValueError for no values, duplicates and invalid values."""
    if not isinstance(choices, list | tuple) or not choices:
        raise ValueError(f"choice must list one or more values, got {as_text(choices)}")
    for choice in choices:
        if isinstance(choice, Mapping):
            raise ValueError(
                f"choice cannot contain a mapping; search each of its keys by its path, got {as_text(choice)}"
            )
        if kind == "repeat" and isinstance(choice, list | tuple):
            raise ValueError(f"choice with repeat must list plain values, got {as_text(choice)}")
    names = [value_identity(choice) for choice in choices]
    twice = next((choice for choice, name in zip(choices, names, strict=True) if names.count(name) > 1), choices)
    if twice is not choices:
        raise ValueError(f"choice must list each value once, got {as_text(twice)} twice")
    return tuple(list(choice) if isinstance(choice, tuple) else choice for choice in choices)


def value_identity(value: Any) -> tuple[Any, ...]:
    """A key for the comparison of values: 1 equals 1.0, but not true."""
    if isinstance(value, list | tuple):
        return "list", *map(value_identity, value)
    if isinstance(value, Mapping):
        return "mapping", *((str(key), value_identity(item)) for key, item in sorted(value.items()))
    return "bool" if isinstance(value, bool) else "value", value


def as_text(value: Any) -> str:
    """A value in YAML notation: null, true, [128, 64]."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {as_text(item)}' for key, item in value.items())}}}"
    return str(value)
