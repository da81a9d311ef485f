"""Strings that look like numbers, booleans or null: a key of type string keeps them exactly as typed.

A column may be named 2024, 007, 1e3, true or no, which both the override grammar and YAML read as another type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from antlr4 import CommonTokenStream, InputStream
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.overrides_visitor import HydraErrorListener, HydraOverrideVisitor
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser

from dlexp.config.files.yaml_files import Leaf
from dlexp.config.origins import read_scalar
from dlexp.config.quoted_keys import parse_override
from dlexp.config.schema.fields import Field
from dlexp.config.schema.tree import ABSENT, shown, value_at

_TEXTS = ("str", "path", "item")


class _AsTyped(HydraOverrideVisitor):
    """Reads every value of an override as the string that was typed."""

    def visitPrimitive(self, ctx: Any) -> Any:  # noqa: N802
        """Return the text of a primitive value."""
        found = super().visitPrimitive(ctx)
        return found if isinstance(found, str | QuotedString) else ctx.getText().strip(" \t")


def as_typed(word: str) -> Override | None:
    """Return an override with values as typed; None if its functions, such as range, require numbers."""
    listener = HydraErrorListener()
    lexer = OverrideLexer(InputStream(word))
    parser: Any = OverrideParser(CommonTokenStream(lexer))
    for source in (lexer, parser):
        source.removeErrorListeners()
        source.addErrorListener(listener)
    try:
        found = _AsTyped(create_functions()).visit(parser.override())
    except HydraException:
        return None
    assert isinstance(found, Override)
    found.input_line = word
    return found


def typed_value(override: Override, field: Field | None) -> Any:
    """Return the value of an override; the string as typed if the rule of the key is a string."""
    value = override.value()
    if field is None or override.input_line is None or not _lacks_texts(value, field):
        return value
    typed = as_typed(override.input_line)
    return value if typed is None else _texts(value, typed.value(), field)


def plain_reading(word: str) -> str:
    """Return the VALUE of KEY=VALUE as a string, without quotes; unchanged if it cannot be parsed."""
    try:
        typed = OverridesParser.create().parse_override(word) and as_typed(word)
    except HydraException:
        typed = None
    value = typed.value() if typed is not None and not typed.is_sweep_override() else None
    return value if isinstance(value, str) else word.partition("=")[2]


def list_reading(word: str) -> Any:
    """Return the VALUE of KEY=VALUE as a list or mapping of strings; unchanged if it cannot be parsed."""
    try:
        override = parse_override(word)
    except HydraException:
        return word.partition("=")[2]
    if override.is_sweep_override():
        return word.partition("=")[2]
    return typed_value(override, Field("list[item]", or_one=True))


def with_texts(tree: dict[str, Any], known: Mapping[str, Field], find: Callable[[str], Leaf | None]) -> None:
    """Replace numbers, booleans and null in `tree` by their text in the file where the key is a string.

    Args:
        tree: The configuration; modified.
        known: Dotted path -> rule.
        find: Returns the place in a file that sets a path.
    """
    for path, field in known.items():
        value = value_at(tree, path)
        if value is ABSENT or not _lacks_texts(value, field):
            continue
        leaf = find(path)
        spelled = leaf.spelled if leaf is not None and _means(leaf.spelled, value) else _shown(value)
        section, _, key = path.rpartition(".")
        holder = value_at(tree, section) if section else tree
        holder[key] = _texts(value, spelled, field)


def wants_text(field: Field) -> bool:
    """Return whether a key is a string or a list of strings."""
    return (field.type[5:-1] if field.type.startswith("list[") else field.type) in _TEXTS


def _lacks_texts(value: Any, field: Field) -> bool:
    """Return whether `value` contains something other than a string where `field` requires one."""
    if field.type == "map[str]":
        if not isinstance(value, Mapping):
            return False
        numbers = [] if field.choices else [item for item in value.values() if _text_of(item, "") is not item]
        return bool(numbers) or any(not isinstance(key, str) for key in value)
    if field.type.startswith("list["):
        inner = _inner(field)
        if isinstance(value, list | tuple):
            return any(_lacks_texts(item, inner) for item in value)
        return field.or_one and not (value is None and field.nullable) and _lacks_texts(value, inner)
    is_scalar = value is None or isinstance(value, bool | int | float)
    return field.type in _TEXTS and is_scalar and not (value is None and field.nullable)


def _texts(value: Any, spelled: Any, field: Field) -> Any:
    if field.type == "map[str]" and isinstance(value, Mapping):
        texts = spelled if isinstance(spelled, Mapping) and len(spelled) == len(value) else value
        return {
            key if isinstance(key, str) else _text(name): item if field.choices else _text_of(item, text)
            for (key, item), (name, text) in zip(value.items(), texts.items(), strict=True)
        }
    if isinstance(value, list | tuple):
        inner = _inner(field)
        return [_texts(item, text, inner) for item, text in zip(value, spelled, strict=True)]
    is_text = isinstance(value, str | Mapping) or (value is None and field.nullable)
    return value if is_text else spelled


def _text(key: Any) -> str:
    return key if isinstance(key, str) else str(shown(key))


def _text_of(item: Any, spelled: Any) -> Any:
    """A number, truth value or null as its text; anything else as it is."""
    return _text(spelled) if item is None or isinstance(item, bool | int | float) else item


def _inner(field: Field) -> Field:
    return Field(field.type[5:-1])


def _means(spelled: Any, value: Any) -> bool:
    """Return whether the text of a file means `value`."""
    if isinstance(value, list | tuple):
        is_list = isinstance(spelled, Sequence) and not isinstance(spelled, str) and len(spelled) == len(value)
        return is_list and all(map(_means, spelled, value))
    if isinstance(value, Mapping):
        return True
    return isinstance(spelled, str) and (value in (spelled, read_scalar(spelled)) or value != value)


def _shown(value: Any) -> Any:
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else shown(value)
