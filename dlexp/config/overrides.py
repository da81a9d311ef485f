"""The words of a command line: parsed, sorted by what they do, and refused with what was probably meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from dlexp.config.check.suggest import all_paths, nearest, nearest_path, option_meant
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.fields import Field
from dlexp.config.schema.names import ALIASES
from dlexp.config.schema.run import SECTIONS, TOP_LEVEL
from dlexp.config.schema.tree import shown
from dlexp.config.text_values import typed_value
from dlexp.errors import Problem
from dlexp.text.quoting import command, setting, shell_word, text_value

_MAX_DEPTH = 50  # as in a file; the parser of the grammar recurses
_MAX_SHOWN = 60  # characters of a value that is refused unread


@dataclass(frozen=True)
class Words:
    """The overrides of a command line, sorted by what they do."""

    groups: Mapping[str, str]
    values: tuple[Override, ...]

    def group_words(self) -> list[str]:
        """The group choices in Hydra's grammar."""
        return [f"{group}={text_value(option)}" for group, option in self.groups.items()]


def parse(words: Sequence[str], catalog: Catalog) -> tuple[Words, list[Problem]]:
    """The words that can be understood, and a problem for each of the others."""
    parser = OverridesParser.create()
    groups: dict[str, str] = {}
    values: list[Override] = []
    problems: list[Problem] = []
    for word in words:
        too_deep = _depth_problem(word)
        if too_deep is not None:
            problems.append(too_deep)
            continue
        try:
            override = parser.parse_override(word)
        except HydraException:  # its text speaks of lexers and links to other manuals
            problems.append(_grammar_problem(word, catalog))
            continue
        problem = _shape_problem(word, override, catalog) or _group_problem(override, catalog)
        if problem:
            problems.append(problem)
        elif _group_of(override, catalog):
            groups[_group_of(override, catalog)] = str(typed_value(override, Field("str")))
        else:
            values.append(override)
    return Words(groups, tuple(values)), problems


def _group_of(override: Override, catalog: Catalog) -> str:
    """The group that an override chooses an option of, or "" where it sets a value."""
    name = ALIASES.get(override.key_or_group, override.key_or_group)
    return name if name in catalog.groups else ""


def _depth_problem(word: str) -> Problem | None:
    """A value whose brackets nest deeper than any configuration does, found before it is parsed."""
    depth = 0
    for letter in word:
        depth += (letter in "[{(") - (letter in "]})")
        if depth > _MAX_DEPTH:
            key, _, value = word.partition("=")
            rule = f"must nest at most {_MAX_DEPTH} lists and mappings in each other"
            return Problem(
                key[:_MAX_SHOWN], f"{value[:_MAX_SHOWN]}...", rule, "put fewer brackets around it", code="too-large"
            )
    return None


def _grammar_problem(word: str, catalog: Catalog) -> Problem:
    if "=" not in word:
        meant = option_meant(word, catalog)
        return Problem(word, "", "is not key=value", f"did you mean {meant}?" if meant else "", code="invalid-syntax")
    key, _, value = word.partition("=")
    if value.startswith("[") and not value.endswith("]"):
        remedy = "close it, and where it holds blanks quote the word for the shell: 'KEY=[...]'"
        return Problem(key, value, "the bracket [ is not closed", remedy, code="invalid-syntax")
    items = [item.strip().strip("\"'") for item in value[1:-1].split(",")]
    word = setting(key, items if value.startswith("[") else value)
    remedy = f"quote what the shell or the grammar reads as a sign: {word}"
    return Problem(key, value, "this value cannot be parsed", remedy, code="invalid-syntax")


def _shape_problem(word: str, override: Override, catalog: Catalog) -> Problem | None:
    """Words that parse, and ask for what one run does not do."""
    key = override.key_or_group
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        rule = "dlexp owns the run directory and the logging; hydra.* keys are not used"
        return Problem(word, "", rule, "see dlexp train --help", code="not-supported")
    if override.is_delete():
        return Problem(
            word, "", "a key cannot be removed", f"set it: {key}=null where null is allowed", code="not-supported"
        )
    if override.is_sweep_override():
        value = word.partition("=")[2]
        remedy = f"add -m to train each: {command('train', '-m', word)}{_as_one(key, value, catalog)}"
        return Problem(
            key, value, "train runs one configuration, and this names several", remedy, code="missing-requirement"
        )
    if override.package is not None:
        chosen = setting(key, override.value())
        return Problem(word, "", "a group has one place in the configuration", f"write {chosen}", code="not-supported")
    return None


def _as_one(key: str, value: str, catalog: Catalog) -> str:
    """How several values are written as one: a list, a text with commas in it, or not at all."""
    if key in (*catalog.groups, *ALIASES):
        return ""
    field = rules({}, catalog).get(key)
    as_list = f"; for a list write {shell_word(f'{key}=[{value}]')}" if field is None or "list" in field.type else ""
    wants_text = field is None or field.type in ("str", "path") or field.or_one
    return as_list + (f"; for one text write {setting(key, value)}" if wants_text else "")


def _group_problem(override: Override, catalog: Catalog) -> Problem | None:
    """A group given an option that it does not have, or a first word that is nearly a group."""
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
                "a group takes the name of an option",
                f"set its keys one by one: {group}.KEY=VALUE",
                code="invalid-type",
            )
        near = nearest(str(value), options)
        return Problem(
            group,
            shown(value),
            f"is no option of {group}; it has {', '.join(options)}",
            f"did you mean {setting(group, near)}?" if near else "",
            code="unknown-option",
        )
    if "." not in key and key not in TOP_LEVEL and key not in SECTIONS:
        return _unknown(override, shown(value), nearest(key, (*catalog.groups, *ALIASES)), catalog)
    return None


def _unknown(override: Override, value: str, group: str | None, catalog: Catalog) -> Problem:
    key = override.key_or_group
    meant = group or nearest_path(key, all_paths(catalog))
    typed = (override.input_line or "").partition("=")[2]
    remedy = f"did you mean {shell_word(f'{meant}={typed}')}?" if meant else ""
    return Problem(key, value, "is no group and no key", remedy, code="unknown-key")
