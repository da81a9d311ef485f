"""Parsing of the overrides of a command line, with a suggestion for each mistake."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from dlexp.config.check.bare_words import delete_problem, grammar_problem, hydra_problem
from dlexp.config.check.suggest import EVERY_NAME, all_paths, is_name, nearest_path, unknown_option
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import file_words, place_of
from dlexp.config.habits.lookup import habit_of
from dlexp.config.habits.problem import habit_problem, problems_of
from dlexp.config.habits.typing import read_words
from dlexp.config.habits.values import translated
from dlexp.config.quoted_keys import parse_override
from dlexp.config.schema.fields import Field
from dlexp.config.schema.run import SECTIONS, TOP_LEVEL
from dlexp.config.schema.tree import shown
from dlexp.config.text_values import typed_value
from dlexp.errors import Problem
from dlexp.text.nearest import misspelled_name
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
    problems: list[Problem] = []
    read = read_words(overrides, lambda word: is_name(word, catalog))
    chosen = {item.word.partition("=")[0] for item in read} & set(catalog.groups)
    for item in read:
        override, problem = _override(item.word, chosen, catalog)
        place = next(filter(None, map(place_of, item.typed)), "")
        found = problems_of(item, problem)
        problems += [replace(one, origin=place, instead=None) for one in found] if place else found
        if override is None or problem is not None:
            continue
        if _group_of(override, catalog):
            groups[_group_of(override, catalog)] = str(typed_value(override, Field("str")))
        else:
            values.append(override)
    return ParsedOverrides(groups, tuple(values)), problems


def _override(word: str, chosen: Collection[str], catalog: Catalog) -> tuple[Override | None, Problem | None]:
    """Return the override of a word, and what is wrong with it."""
    too_deep = _depth_problem(word)
    if too_deep is not None:
        return None, too_deep
    try:
        override = parse_override(word)
    except HydraException:  # its message is about lexers and links to the manual of Hydra
        return None, grammar_problem(word, catalog)
    return override, _shape_problem(word, override, catalog) or _group_problem(override, chosen, catalog)


def _group_of(override: Override, catalog: Catalog) -> str:
    """Return the group whose option an override chooses, "" if it sets a value."""
    name = override.key_or_group
    return name if name in catalog.groups else ""


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


def _shape_problem(word: str, override: Override, catalog: Catalog) -> Problem | None:
    """Return the problem of a valid override that a single run does not support."""
    key = override.key_or_group
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        return hydra_problem(word, key)
    if override.is_delete():
        return delete_problem(word, key, catalog)
    if override.is_sweep_override():
        value = word.partition("=")[2]
        if place_of(word):
            remedy = f"Train each value: {command('train', '-m', *file_words(word))}"
            return Problem(key, value, "several values require a sweep", remedy, code="missing-requirement")
        remedy = f"Add -m to train each value: {command('train', '-m', word)}{_as_one(key, value, catalog)}"
        return Problem(key, value, "several values require a sweep", remedy, code="missing-requirement", typed=(word,))
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


def _group_problem(override: Override, chosen: Collection[str], catalog: Catalog) -> Problem | None:
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
        return unknown_option(group, shown(value), catalog, origin=place_of(override.input_line))
    if "." not in key and key not in TOP_LEVEL and key not in SECTIONS:
        return _unknown(override, shown(value), chosen, catalog)
    return None


def _unknown(override: Override, value: str, chosen: Collection[str], catalog: Catalog) -> Problem:
    key = override.key_or_group
    typed = (override.input_line or "").partition("=")[2]
    place = place_of(override.input_line)
    if (habit := habit_of(key)) is not None:
        return habit_problem(habit, key, typed, chosen, origin=place)
    meant = misspelled_name(key, catalog.groups) or nearest_path(key, all_paths(catalog))
    rule = "unknown group or configuration key"
    if meant is None:
        return Problem(key, value, rule, EVERY_NAME, code="unknown-key")
    if place:
        return Problem(key, value, rule, f"Did you mean {meant}?", code="unknown-key")
    word = translated(f"{meant}={typed}")
    return Problem(key, value, rule, f"Did you mean {shell_word(word)}?", code="unknown-key", instead=(word,))
