"""What is wrong with a word of the command line by itself: its grammar, its depth, and what it asks for."""

from __future__ import annotations

from typing import Any

from dlexp.config.catalog import Catalog
from dlexp.config.suggest import option_meant
from dlexp.errors import Problem

_MAX_DEPTH = 50  # as in a file; the parser of the grammar recurses
_MAX_SHOWN = 60  # characters of a value that is refused unread


def depth_problem(word: str) -> Problem | None:
    """A value whose brackets nest deeper than any configuration does, found before it is parsed."""
    depth = 0
    for letter in word:
        depth += (letter in "[{(") - (letter in "]})")
        if depth > _MAX_DEPTH:
            key, _, value = word.partition("=")
            rule = f"must nest at most {_MAX_DEPTH} lists and mappings in each other"
            return Problem(key[:_MAX_SHOWN], f"{value[:_MAX_SHOWN]}...", rule, "put fewer brackets around it")
    return None


def grammar_problem(word: str, catalog: Catalog) -> Problem:
    """A word that Hydra's grammar does not read."""
    if "=" not in word:
        meant = option_meant(word, catalog)
        return Problem(word, "", "is not key=value", f"did you mean {meant}?" if meant else "")
    key, _, value = word.partition("=")
    remedy = f"quote what the shell or the grammar reads as a sign: '{key}=\"{value}\"'"
    return Problem(key, value, "this value cannot be parsed", remedy)


def shape_problem(word: str, override: Any, group: str) -> Problem | None:
    """A word that parses, and asks for what one run does not do.

    override  Hydra's reading of the word
    group     the group that it chooses an option of, "" where it sets a value
    """
    key = override.key_or_group
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        rule = "dlexp owns the run directory and the logging; hydra.* keys are not used"
        return Problem(word, "", rule, "see dlexp train --help")
    if override.is_delete():
        return Problem(word, "", "a key cannot be removed", f"set it: {key}=null where null is allowed")
    if override.is_sweep_override():
        _, _, value = word.partition("=")
        as_list = "" if group else f"; for a list write '{key}=[{value}]'"
        remedy = f"add -m to train each: dlexp train -m '{word}'{as_list}"
        return Problem(key, value, "train runs one configuration, and this names several", remedy)
    if override.package is not None:
        return Problem(word, "", "a group has one place in the configuration", f"write {key}={override.value()}")
    return None
