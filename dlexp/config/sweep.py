"""The configurations of a sweep: one for each combination of values, in Hydra's grammar.

    model=mlp,simple_cnn      seed=range(3)      optim.lr=choice(0.1,0.01)      model='glob(resnet*)'

Random values (`interval`, `shuffle`) are not supported. The last override varies fastest, as in Hydra.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Glob, Override
from hydra.errors import HydraException

from dlexp.config.check.suggest import foreign_name, is_name
from dlexp.config.check.validate import rules
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.words import CaseWord, as_of, placing
from dlexp.config.habits.problem import habit_problem, problems_of
from dlexp.config.habits.typing import read_words
from dlexp.config.quoted_keys import parse_override
from dlexp.config.schema.names import CASES
from dlexp.config.schema.run import RunConfig
from dlexp.config.text_values import as_typed, wants_text
from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import shortened
from dlexp.text.quoting import command

MAX_JOBS = 1_000

Load = Callable[[tuple[str, ...]], RunConfig]


@dataclass(frozen=True)
class SweepJob:
    """One configuration of a sweep.

    Attributes:
        overrides: Its overrides, of which `dlexp train --from` composes it.
        varied: (key, value) of the keys that vary in the sweep, as text.
        config: The configuration.
        line: The words with which `dlexp train` trains it alone: the overrides, with its case by name.
    """

    overrides: tuple[str, ...]
    varied: tuple[tuple[str, str], ...]
    config: RunConfig
    line: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The varied keys, such as `model=mlp seed=1`."""
        return _joined(self.varied)


def sweep_jobs(overrides: Sequence[str], catalog: Catalog, load: Load) -> tuple[SweepJob, ...]:
    """Return the checked configurations of a grid.

    Args:
        overrides: Overrides; some have several values.
        catalog: The available options.
        load: Returns the configuration of plain overrides, or raises ConfigError.

    Raises ConfigError with the problems of all overrides and all configurations, each problem once.
    """
    found: list[SweepJob] = []
    problems: list[tuple[str, Problem]] = []
    combinations = _combinations(overrides, catalog)
    for combined in combinations:
        own = tuple(word for value in combined for word in value.words)
        varied = tuple(_named(value.line) for value in combined if value.varies)
        try:
            found.append(SweepJob(own, varied, load(own), tuple(value.line for value in combined)))
        except ConfigError as error:
            problems += [(_joined(varied), problem) for problem in error.problems]
    reported = [*each_once(problems, len(combinations)), *_duplicates(found)]
    if reported:
        raise ConfigError(reported)
    return tuple(found)


def each_once(problems: Sequence[tuple[str, Problem]], count: int) -> list[Problem]:
    """Return each problem once, with the first job that has it as origin unless all jobs have it.

    Args:
        problems: (name of the job, problem).
        count: Number of jobs.
    """
    jobs: dict[Problem, list[str]] = {}
    for name, problem in problems:
        jobs.setdefault(problem, []).append(name)
    found = []
    for problem, names in jobs.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        place = "" if len(names) >= count else f"job {names[0]}{others}"
        found.append(replace(problem, origin="; ".join(filter(None, (problem.origin, place)))))
    return found


@dataclass(frozen=True)
class _AxisValue:
    """A value of an axis: its overrides, the word that a line has for it, and whether the axis has others."""

    words: tuple[str, ...]
    line: str
    varies: bool


def _combinations(overrides: Sequence[str], catalog: Catalog) -> list[tuple[_AxisValue, ...]]:
    """Return the values of all axes of each job. Raises ConfigError for an invalid grid."""
    axes: list[list[_AxisValue]] = []
    problems: list[Problem] = []
    axes += [
        [_AxisValue(words, f"{CASES}={name}", varies=True) for name, words in word.cases.items()]
        for word in overrides
        if isinstance(word, CaseWord)
    ]
    plain = [word for word in overrides if not isinstance(word, CaseWord)]
    for item in read_words(plain, lambda word: is_name(word, catalog)):
        problems += problems_of(item, None)
        word = item.word
        try:
            with placing([word]):
                values = _values(word, catalog)
            texts = [word] if values is None else values
            axes.append([_AxisValue((text,), text, varies=values is not None) for text in texts])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    size = prod(len(axis) for axis in axes)
    if size > MAX_JOBS:
        rule = f"must have at most {MAX_JOBS:,} combinations, got {size:,}"
        raise ConfigError.one("-m", "", rule, "Use dlexp tune to search a large space.", code="too-large")
    return list(product(*axes))


def _values(word: str, catalog: Catalog) -> list[str] | None:
    """Return one override for each value of `word`, None if it has a single value. Raises ConfigError."""
    try:
        override = parse_override(word)
    except HydraException:  # reported when the job is loaded
        return None
    if not override.is_sweep_override():
        return None
    key, _, text = word.partition("=")
    if (habit := foreign_name(key.lstrip("+"), catalog)) is not None:
        chosen = set(catalog.groups) if "." in key else ()
        raise ConfigError([replace(habit_problem(habit, key, text, chosen), typed=(word,))])
    if not override.is_discrete_sweep():
        rule = "not supported in a sweep: a continuous range"
        raise ConfigError.one(
            key, text, rule, f"List the values, {key}=A,B, or use dlexp tune to search a range.", code="not-supported"
        )
    value: Any = override.value()
    if getattr(value, "shuffle", False):
        rule = "not supported in a sweep: shuffle(...)"
        raise ConfigError.one(key, text, rule, "Remove shuffle(...).", code="not-supported")
    values = _options(override, value, text, catalog) if isinstance(value, Glob) else _texts(override, text, catalog)
    if not values:
        raise ConfigError.one(
            key, text, "must have at least one value", f"List the values: {key}=A,B", code="missing-value"
        )
    return [as_of(word, f"{key}={value}") for value in values]


def _texts(override: Override, text: str, catalog: Catalog) -> list[str]:
    key = override.key_or_group
    try:
        field, values = rules({}, catalog).get(key), override.value()
        if field is not None and isinstance(values, ChoiceSweep) and wants_text(field):
            override = as_typed(override.input_line or "") or override  # 1e3 may be the name of a column
        return list(override.sweep_string_iterator())
    except (HydraException, ValueError, TypeError, ZeroDivisionError) as error:
        raise ConfigError.one(key, text, f"invalid list of values: {error}", code="invalid-value") from error


def _options(override: Override, pattern: Glob, text: str, catalog: Catalog) -> list[str]:
    """Return the options of a group that match a pattern. Raises ConfigError if there are none."""
    group = override.key_or_group
    if group not in catalog.groups:
        raise ConfigError.one(
            group,
            text,
            "glob(...) is only supported for options of a group",
            f"List the values: {group}=A,B",
            code="not-supported",
        )
    options = list(catalog.options(group))
    found: list[str] = pattern.filter(options)
    if not found:
        remedy = f"List all {len(options)}: {command('list', group)}"
        raise ConfigError.one(
            group, text, f"matches no {group}; available: {shortened(options)}", remedy, code="unknown-option"
        )
    return found


def _named(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key.lstrip("+"), value


def _joined(varied: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{key}={value}" for key, value in varied)


def _duplicates(jobs: Sequence[SweepJob]) -> list[Problem]:
    """Return a problem for each job whose configuration equals that of an earlier one."""
    first: dict[str, str] = {}
    problems: list[Problem] = []
    for job in jobs:
        content = json.dumps([dict(job.config.choices), job.config.tree], sort_keys=True, default=str)
        if content in first:
            rule = f"same configuration as {first[content] or 'the previous one'}"
            problems.append(Problem(job.name, "", rule, "List each value once.", code="no-effect"))
        first.setdefault(content, job.name)
    return problems
