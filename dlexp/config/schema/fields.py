"""The rule of a configuration key: its type, range and help. Imports no torch.

Keys of sections get their `Field` from a dataclass (schema.py), keys of components from the `_fields.yaml` of their
group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlexp.errors import Code

_SCALARS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "path": (str,),
    "map": (dict,),
    "item": (str, dict),
}
_LARGEST_INT = 2**63 - 1  # the largest integer of torch, NumPy and C libraries
_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "path": "a path",
    "map": "a mapping, {KEY: VALUE, ...}",
    "map[str]": "a mapping, {NAME: VALUE, ...}",
    "list[int]": "a list of whole numbers",
    "list[float]": "a list of numbers",
    "list[str]": "a list of strings",
    "list[map]": "a list of mappings, [{KEY: VALUE, ...}, ...]",
    "list[item]": "a list of names, with or without values, [NAME, {NAME: VALUE}, ...]",
}


@dataclass(frozen=True)
class Field:
    """The rule of a configuration key.

    Attributes:
        type: bool, int, float, str, path, map, map[str], whose values are strings, list[int], list[float], list[str],
            list[map] or list[item], whose items are strings or mappings.
        help: What the key is, with its unit.
        nullable: Whether null is allowed.
        choices: The allowed values, also of a mapping, () for any.
        minimum: Inclusive lower bound of a number, or of every number in a list.
        above: Exclusive lower bound.
        maximum: Inclusive upper bound.
        below: Exclusive upper bound.
        words: Strings that stand for a value found later, such as auto.
        or_one: Whether a single item is allowed instead of a list.
        needs: Other key of the same section -> the values of it with which this key has an effect, () for all but null.
    """

    type: str
    help: str = ""
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    words: tuple[str, ...] = ()
    or_one: bool = False
    needs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Field:
        """Return a Field from an entry of `_fields.yaml`. Raises TypeError or ValueError for an invalid entry."""
        words = {"min": "minimum", "max": "maximum"}
        values = {words.get(key, key): value for key, value in entry.items()}
        values |= {key: tuple(values.get(key, ())) for key in ("choices", "words")}
        values |= {"needs": {other: _allowed(wanted) for other, wanted in dict(values.get("needs") or {}).items()}}
        found = cls(**values)
        if found.type not in _WORDS:
            raise ValueError(f"unknown type {found.type!r}; available: {', '.join(_WORDS)}")
        for bound in (found.minimum, found.above, found.maximum, found.below):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float)):
                raise TypeError(f"a bound must be a number, got {bound!r} (YAML reads 1e-3 as a string; write 0.001)")
        return found

    @property
    def rule(self) -> str:
        """The rule as text, such as `a number > 0`."""
        if self.choices and self.type == "map[str]":
            return f"{_WORDS[self.type]}, each VALUE one of {', '.join(map(_show, self.choices))}{self._or_null}"
        if self.choices:
            named = ", ".join(_show(choice) for choice in self.choices)
            if not self.type.startswith("list"):
                return f"one of {named}{self._or_null}"
            return f"a list of any of {named}{', or a single one' if self.or_one else ''}{self._or_null}"
        bounds = " and ".join(
            f"{sign} {_show(bound)}"
            for sign, bound in ((">=", self.minimum), (">", self.above), ("<=", self.maximum), ("<", self.below))
            if bound is not None
        )
        each = ", each" if bounds and self.type.startswith("list") else ""
        word = f", or {' or '.join(self.words)}" if self.words else ""
        one = ", or a single one" if self.or_one else ""
        return f"{_WORDS[self.type]}{each}{' ' + bounds if bounds else ''}{one}{word}{self._or_null}"

    @property
    def description(self) -> str:
        """The help, and the values of other keys without which this one has no effect."""
        named = [
            f"without effect where {other} is {'not ' + ' or '.join(map(_show, wanted)) if wanted else 'null'}"
            for other, wanted in self.needs.items()
        ]
        return "; ".join(filter(None, (self.help, *named)))

    @property
    def _or_null(self) -> str:
        return " or null" if self.nullable else ""

    def accepts(self, value: object) -> bool:
        """Return whether `value` is valid. NaN and infinite numbers are not."""
        if value is None:
            return self.nullable
        if isinstance(value, str) and value in self.words:
            return True
        if self.type == "map[str]":
            return isinstance(value, dict) and all(
                Field("str", choices=self.choices).accepts(v) for v in value.values()
            )
        if self.type.startswith("list["):
            inner = self._item
            if self.or_one and not isinstance(value, list | tuple):
                return inner.accepts(value)
            return isinstance(value, list | tuple) and all(inner.accepts(item) for item in value)
        if isinstance(value, bool) != (self.type == "bool") or not isinstance(value, _SCALARS[self.type]):
            return False
        if self.choices and value not in self.choices:
            return False
        return not isinstance(value, int | float) or isinstance(value, bool) or self._in_range(value)

    def refusal(self, value: object) -> str:
        """Return the message for an invalid `value`, "" for a valid one."""
        if self.accepts(value):
            return ""
        too_large = isinstance(value, int) and abs(value) > _LARGEST_INT
        return f"must be {self.rule}{' of at most 64 bits' if too_large else ''}"

    def code_of(self, value: object) -> Code:
        """Return the code of an invalid value: of another type, none of the choices, or out of range."""
        if self.type == "map[str]":
            return "unknown-value" if isinstance(value, dict) else "invalid-type"
        if self.type.startswith("list[") and isinstance(value, list | tuple):
            inner = self._item
            return next((inner.code_of(item) for item in value if not inner.accepts(item)), "invalid-type")
        if self.or_one and not isinstance(value, list | tuple):
            return self._item.code_of(value)
        is_bool = isinstance(value, bool)
        if is_bool != (self.type == "bool") or not isinstance(value, _SCALARS.get(self.type, ())):
            return "invalid-type"
        return "unknown-value" if self.choices else "out-of-range"

    @property
    def _item(self) -> Field:
        """The rule of one item of a list."""
        return Field(self.type[5:-1], "", False, self.choices, self.minimum, self.above, self.maximum, self.below)

    def _in_range(self, number: int | float) -> bool:
        return (
            (abs(number) <= _LARGEST_INT if isinstance(number, int) else math.isfinite(number))
            and (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
            and (self.below is None or number < self.below)
        )


def key_field(default: Any, type_name: str, help_text: str, **rule: Any) -> Any:
    """Return a dataclass field with its rule and help as metadata."""
    return field(
        default=default, metadata={"field": Field.from_mapping({"type": type_name, "help": help_text, **rule})}
    )


def inferred(value: object) -> Field | None:
    """Return the Field of a key without a rule, from the type of its default; None for other defaults."""
    for name, kinds in (("bool", bool), ("int", int), ("float", float), ("str", str)):
        if isinstance(value, kinds):
            return Field(name)
    return None


def _allowed(wanted: object) -> tuple[Any, ...]:
    """The values of an entry of `needs`. Raises TypeError for anything but a list and `any`."""
    if wanted == "any":
        return ()
    if not isinstance(wanted, list) or not wanted:
        raise TypeError(f"needs must be {{KEY: [VALUE, ...]}} or {{KEY: any}}, got {wanted!r}")
    return tuple(wanted)


def _show(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
