"""The words of a sweep -> its cells: Hydra's grammar for several values, one configuration for each combination.

    model=mlp,simple_cnn      seed=range(3)      optim.lr=choice(0.1,0.01)      model='glob(resnet*)'

What is drawn (`interval`, `shuffle`) has no place in a grid. The last word varies fastest, as in Hydra.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override
from hydra.errors import HydraException

from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.names import ALIASES
from dlexp.config.schema.run import RunConfig
from dlexp.config.text_values import as_typed, wants_text
from dlexp.errors import ConfigError, Problem

MAX_CELLS = 1_000

Load = Callable[[tuple[str, ...]], RunConfig]


@dataclass(frozen=True)
class Cell:
    """One configuration of a sweep.

    words   the line that trains it alone: `dlexp train` and these
    varied  (key, value) of what differs between the cells, as text
    """

    words: tuple[str, ...]
    varied: tuple[tuple[str, str], ...]
    config: RunConfig

    @property
    def name(self) -> str:
        """What tells it from the others, such as `model=mlp seed=1`."""
        return _joined(self.varied)


def cells_of(words: Sequence[str], catalog: Catalog, load: Load) -> tuple[Cell, ...]:
    """Every cell of the grid, checked.

    load  gives the configuration that plain words describe, or raises ConfigError
    Raises ConfigError with the problems of all words and all cells; what is wrong in several cells is told once.
    """
    found: list[Cell] = []
    problems: list[tuple[str, Problem]] = []
    combinations = _combinations(words, catalog)
    for combined in combinations:
        own = tuple(word for word, _ in combined)
        varied = tuple(_named(word) for word, varies in combined if varies)
        try:
            found.append(Cell(own, varied, load(own)))
        except ConfigError as error:
            problems += [(_joined(varied), problem) for problem in error.problems]
    told = [*told_once(problems, len(combinations)), *_twins(found)]
    if told:
        raise ConfigError(told)
    return tuple(found)


def told_once(problems: Sequence[tuple[str, Problem]], count: int) -> list[Problem]:
    """(cell, problem) -> each problem once, with the first cell that has it unless all `count` cells do."""
    cells: dict[Problem, list[str]] = {}
    for name, problem in problems:
        cells.setdefault(problem, []).append(name)
    found = []
    for problem, names in cells.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        place = "" if len(names) >= count else f"cell {names[0]}{others}"
        found.append(replace(problem, origin="; ".join(filter(None, (problem.origin, place)))))
    return found


def _combinations(words: Sequence[str], catalog: Catalog) -> list[tuple[tuple[str, bool], ...]]:
    """Each cell's words, each with whether it varies. Raises ConfigError for words that are no grid."""
    axes: list[list[tuple[str, bool]]] = []
    problems: list[Problem] = []
    for word in words:
        try:
            values = _values(word, catalog)
            axes.append([(word, False)] if values is None else [(value, True) for value in values])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    size = prod(len(axis) for axis in axes)
    if size > MAX_CELLS:
        rule = f"these words have {size:,} combinations; a sweep has {MAX_CELLS:,} at most"
        raise ConfigError.one(
            "-m", "", rule, "dlexp tune searches a large space without trying everything", code="too-large"
        )
    return list(product(*axes))


def _values(word: str, catalog: Catalog) -> list[str] | None:
    """The words that one word with several values stands for; None for a word with one. Raises ConfigError."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:  # told with its remedy when the cell is loaded
        return None
    if not override.is_sweep_override():
        return None
    key, _, text = word.partition("=")
    if not override.is_discrete_sweep():
        rule = "has no end of values, and a sweep tries each"
        raise ConfigError.one(
            key, text, rule, f"name them: {key}=A,B; dlexp tune searches a range", code="not-supported"
        )
    value: Any = override.value()
    if getattr(value, "shuffle", False):
        rule = "would draw an order, and every cell is trained whatever the order"
        raise ConfigError.one(key, text, rule, "leave shuffle(...) out", code="not-supported")
    values = _options(override, value, text, catalog) if isinstance(value, Glob) else _texts(override, text, catalog)
    if not values:
        raise ConfigError.one(key, text, "stands for no value at all", f"name some: {key}=A,B", code="missing-value")
    return [f"{key}={value}" for value in values]


def _texts(override: Override, text: str, catalog: Catalog) -> list[str]:
    key = override.key_or_group
    try:
        field, values = rules({}, catalog).get(key), override.value()
        if field is not None and isinstance(values, ChoiceSweep) and wants_text(field):
            override = as_typed(override.input_line or "") or override  # 1e3 may be the name of a column
        return list(override.sweep_string_iterator())
    except (HydraException, ValueError, TypeError, ZeroDivisionError) as error:
        raise ConfigError.one(key, text, f"cannot be counted out: {error}", code="invalid-value") from error


def _options(override: Override, pattern: Glob, text: str, catalog: Catalog) -> list[str]:
    """The options of a group whose names a pattern matches."""
    key = override.key_or_group
    group = ALIASES.get(key, key)
    if group not in catalog.groups:
        raise ConfigError.one(
            key,
            text,
            "glob(...) stands for options of a group, and this is a key",
            "name the values",
            code="not-supported",
        )
    options = list(catalog.options(group))
    found: list[str] = pattern.filter(options)
    if not found:
        raise ConfigError.one(
            key, text, f"matches no option of {group}; it has {', '.join(options)}", code="unknown-option"
        )
    return found


def _named(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key.lstrip("+"), value


def _joined(varied: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{key}={value}" for key, value in varied)


def _twins(cells: Sequence[Cell]) -> list[Problem]:
    """Cells that are the same configuration: a value named twice, or a key that a later word decides."""
    first: dict[str, str] = {}
    problems: list[Problem] = []
    for cell in cells:
        content = json.dumps([dict(cell.config.choices), cell.config.tree], sort_keys=True, default=str)
        if content in first:
            rule = f"is the same configuration as the cell {first[content] or 'before'}; a sweep trains each once"
            problems.append(Problem(cell.name, "", rule, "name each value once", code="no-effect"))
        first.setdefault(content, cell.name)
    return problems
