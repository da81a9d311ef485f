"""Parsing of the overrides of a command line, with a suggestion for each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from dlexp.config.check.suggest import EVERY_NAME, all_paths, nearest_path, option_meant, unknown_option
from dlexp.config.check.synonyms import synonym
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.quoted_keys import parse_override
from dlexp.config.schema.fields import Field
from dlexp.config.schema.run import SECTIONS, TOP_LEVEL
from dlexp.config.schema.tree import shown
from dlexp.config.text_values import typed_value
from dlexp.errors import Problem
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import command, setting, shell_word, text_value

_MAX_DEPTH = 50  # as in files; the parser of the grammar is recursive
_MAX_SHOWN = 60  # characters of a value in the message about its depth


@dataclass(frozen=True)
class ParsedOverrides:
    """The overrides of a command line.

    Attributes:
        groups: Group -> option.
        values: Overrides that set a value.
    """

    groups: Mapping[str, str]
    values: tuple[Override, ...]

    def group_overrides(self) -> list[str]:
        """Return the group choices as overrides in Hydra's grammar."""
        return [f"{group}={text_value(option)}" for group, option in self.groups.items()]


def parse(overrides: Sequence[str], catalog: Catalog) -> tuple[ParsedOverrides, list[Problem]]:
    """Return the parsed overrides, and a problem for each invalid one."""
    groups: dict[str, str] = {}
    values: list[Override] = []
    overrides, problems = _without_spaced(overrides)
    for word in overrides:
        too_deep = _depth_problem(word)
        if too_deep is not None:
            problems.append(too_deep)
            continue
        try:
            override = parse_override(word)
        except HydraException:  # its message is about lexers and links to the manual of Hydra
            problems.append(_grammar_problem(word, catalog))
            continue
        problem = _shape_problem(word, override, catalog) or _group_problem(override, catalog)
        if problem:
            problems.append(problem)
        elif _group_of(override, catalog):
            groups[_group_of(override, catalog)] = str(typed_value(override, Field("str")))
        else:
            values.append(override)
    return ParsedOverrides(groups, tuple(values)), problems


def _group_of(override: Override, catalog: Catalog) -> str:
    """Return the group whose option an override chooses, "" if it sets a value."""
    name = override.key_or_group
    return name if name in catalog.groups else ""


def _without_spaced(words: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """Return the words without `KEY = VALUE`, which a shell makes three words of, and a problem for each of these."""
    kept, problems = list(words), []
    while "=" in kept[1:-1]:
        place = kept.index("=", 1)
        key, value = kept[place - 1], kept[place + 1]
        remedy = f"Remove the spaces: {shell_word(f'{key}={value}')}"
        problems.append(Problem(key, "", "must be KEY=VALUE without spaces", remedy, code="invalid-syntax"))
        del kept[place - 1 : place + 2]
    return kept, problems


def _depth_problem(word: str) -> Problem | None:
    """Return a problem if brackets nest too deeply, found before the recursive parser runs."""
    depth = 0
    for letter in word:
        depth += (letter in "[{(") - (letter in "]})")
        if depth > _MAX_DEPTH:
            key, _, value = word.partition("=")
            rule = f"must have at most {_MAX_DEPTH} levels of nested lists and mappings"
            return Problem(key[:_MAX_SHOWN], f"{value[:_MAX_SHOWN]}...", rule, "Use fewer brackets.", code="too-large")
    return None


def _grammar_problem(word: str, catalog: Catalog) -> Problem:
    if "=" not in word:
        meant = option_meant(word, catalog)
        return Problem(word, "", "must be KEY=VALUE", f"Did you mean {meant}?" if meant else "", code="invalid-syntax")
    key, _, value = word.partition("=")
    if value.startswith("[") and not value.endswith("]"):
        remedy = "Close it, and quote a list with spaces for the shell: 'KEY=[...]'"
        return Problem(key, value, "missing closing bracket ]", remedy, code="invalid-syntax")
    items = [item.strip().strip("\"'") for item in value[1:-1].split(",")]
    word = setting(key, items if value.startswith("[") else value)
    remedy = f"Quote special characters: {word}"
    return Problem(key, value, "invalid syntax", remedy, code="invalid-syntax")


def _shape_problem(word: str, override: Override, catalog: Catalog) -> Problem | None:
    """Return the problem of a valid override that a single run does not support."""
    key = override.key_or_group
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        rule = "hydra.* is not supported: dlexp manages run directories and logging itself"
        return Problem(word, "", rule, "See dlexp train --help", code="not-supported")
    if override.is_delete():
        return Problem(
            word,
            "",
            "removing a key is not supported",
            f"Set it to null if null is allowed: {key}=null",
            code="not-supported",
        )
    if override.is_sweep_override():
        value = word.partition("=")[2]
        remedy = f"Add -m to train each value: {command('train', '-m', word)}{_as_one(key, value, catalog)}"
        return Problem(key, value, "several values require a sweep", remedy, code="missing-requirement")
    if override.package is not None:
        chosen = setting(key, override.value())
        return Problem(word, "", "choosing a package is not supported", f"Write {chosen}", code="not-supported")
    return None


def _as_one(key: str, value: str, catalog: Catalog) -> str:
    """Return how to write several values as one value: as a list or a string with commas; "" for groups."""
    if key in catalog.groups:
        return ""
    field = rules({}, catalog).get(key)
    as_list = f"; for a list, write {shell_word(f'{key}=[{value}]')}" if field is None or "list" in field.type else ""
    wants_text = field is None or field.type in ("str", "path") or field.or_one
    return as_list + (f"; for a string, write {setting(key, value)}" if wants_text else "")


def _group_problem(override: Override, catalog: Catalog) -> Problem | None:
    """Return the problem of an unknown option of a group, or of an unknown top-level name."""
    key, value = override.key_or_group, typed_value(override, Field("str"))
    group = _group_of(override, catalog)
    if group:
        options = list(catalog.options(group))
        if isinstance(value, str) and value in options:
            return None
        if isinstance(value, dict):
            return Problem(
                group,
                str(value),
                "must be the name of an option",
                f"Set its keys one by one: {group}.KEY=VALUE",
                code="invalid-type",
            )
        return unknown_option(group, shown(value), catalog)
    if "." not in key and key not in TOP_LEVEL and key not in SECTIONS:
        return _unknown(override, shown(value), nearest_name(key, catalog.groups), catalog)
    return None


def _unknown(override: Override, value: str, group: str | None, catalog: Catalog) -> Problem:
    key = override.key_or_group
    meant = synonym(key) or group or nearest_path(key, all_paths(catalog))
    typed = (override.input_line or "").partition("=")[2]
    remedy = f"Did you mean {shell_word(f'{meant}={typed}')}?" if meant else EVERY_NAME
    return Problem(key, value, "unknown group or configuration key", remedy, code="unknown-key")
