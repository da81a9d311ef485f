"""The sweep of an experiment: the axes under `sweep` in its file, so that its name alone trains the whole grid.

    sweep:
      optim: [sgd, adamw]
      seed: range(5)

The axes are words that precede those of the line, so a word of the line replaces an axis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import yaml
from hydra.errors import HydraException

from dlexp.config.files.builtin import option_file
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.given import GivenFile
from dlexp.config.files.words import CaseWord, FileWord, key_of
from dlexp.config.files.yaml_files import Leaf, bases_of, read_yaml
from dlexp.config.given.nodes import FileReading
from dlexp.config.given.plain import special_words
from dlexp.config.quoted_keys import parse_override
from dlexp.config.schema.names import CASES, SWEEP
from dlexp.errors import ConfigError
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import command

_GROUP = "experiment"
_OPTION = "sweep"  # above the words of a job in overrides.yaml
_PATTERN = re.compile(r"[\w*?-]+")  # a name, or one of glob(...)


@dataclass(frozen=True)
class ExperimentLine:
    """A line with the sweep of its experiment.

    Attributes:
        words: The axes of the experiment that the line leaves open, then the words of the line.
        axes: The keys with several values: those of these axes, and those that the line gives several values in
            place of an axis. () for a line that trains one configuration.
    """

    words: tuple[str, ...]
    axes: tuple[str, ...] = ()


def with_sweep_of_experiment(words: Sequence[str], catalog: Catalog, replaced: Sequence[str] = ()) -> ExperimentLine:
    """Return a line with the axes of the experiment that it chooses, if the experiment has any.

    Args:
        words: The overrides of the line; `cases=NAME,NAME` picks some of the cases.
        catalog: The available options.
        replaced: Further keys that the line decides, such as seed with --seeds.

    Raises ConfigError for an invalid `sweep` in the file, and for an unknown case.
    """
    chosen = [word.partition("=")[2] for word in words if key_of(word) == _GROUP]
    axes, own = [word for word in axes_of(chosen[-1], catalog) if key_of(word) not in replaced] if chosen else [], words
    picked = [word for word in words if key_of(word) == CASES and not isinstance(word, CaseWord)]
    if picked and any(isinstance(word, CaseWord) for word in axes):
        axes = [_picked(picked[-1], word) if isinstance(word, CaseWord) else word for word in axes]
        own = [word for word in words if word not in picked]
    elif picked and not any(isinstance(word, CaseWord) for word in words):
        remedy = f"Remove {picked[-1]}; dlexp train --dry-run lists the jobs of an experiment."
        raise ConfigError.one(CASES, picked[-1].partition("=")[2], "this line has no cases", remedy, code="no-effect")
    last = {key_of(word): word for word in own}
    given = [last[key] for key in map(key_of, axes) if key in last and _has_several_values(last[key])]
    axes = [word for word in axes if key_of(word) not in last]
    several = [*given, *(word for word in axes if not isinstance(word, CaseWord) or len(word.cases) > 1)]
    if several:
        return ExperimentLine((*axes, *own), tuple(key_of(word) for word in several))
    of_case = [word for case in axes if isinstance(case, CaseWord) for words in case.cases.values() for word in words]
    return ExperimentLine((*(word for word in of_case if key_of(word) not in last), *own))


def _has_several_values(word: str) -> bool:
    """Whether a word of the line lists values; False for one that cannot be read, which is reported later."""
    try:
        return bool(parse_override(word).is_sweep_override())
    except HydraException:
        return False


def _picked(word: str, among: CaseWord) -> CaseWord:
    """Return the cases that a word `cases=NAME,NAME` of the line picks. Raises ConfigError for an unknown one."""
    names = [name.strip().strip("'\"") for name in word.partition("=")[2].split(",")]
    for name in names:
        if name not in among.cases:
            near = nearest_name(name, among.cases)
            remedy = f"Did you mean {near}? " if near else ""
            remedy += f"The cases are {', '.join(among.cases)}."
            raise ConfigError.one(CASES, name, "unknown case of this experiment", remedy, code="unknown-value")
    return CaseWord.of({name: among.cases[name] for name in names}, among.place, among.option)


def axes_of(experiment: str, catalog: Catalog) -> tuple[FileWord, ...]:
    """Return the axes of an experiment, as words with several values; () for one that is no sweep, or unknown."""
    if experiment not in catalog.options(_GROUP):
        return ()
    path = catalog.options(_GROUP)[experiment].path
    root = read_yaml(path)
    found: list[FileWord] = []
    for base in bases_of(root):
        if option_file(catalog.roots, _GROUP, base) and base != experiment:
            found += axes_of(base, catalog)
    if isinstance(root, yaml.MappingNode):
        name = Leaf(path, 0, "").place.rpartition(":")[0]
        part = _part(root)
        reading = FileReading(GivenFile(name, part))
        found += special_words(reading, part, catalog)
        if reading.problems:
            raise ConfigError(reading.problems)
    for word in found:
        word.option = _OPTION
        for own in (own for words in word.cases.values() for own in words) if isinstance(word, CaseWord) else ():
            own.option = _OPTION
    last = {key_of(word): word for word in found}  # of a key that a base sets too, its own
    return tuple(last.values())


def refuse_among_others(words: Sequence[str], catalog: Catalog) -> None:
    """Raise ConfigError for an experiment with a sweep of its own among several values of `experiment`."""
    options = list(catalog.options(_GROUP))
    for word in words:
        key, _, value = word.partition("=")
        if key != _GROUP or value in options:
            continue
        patterns = _PATTERN.findall(value)
        names = [name for name in options if any(fnmatchcase(name, pattern) for pattern in patterns)]
        for name in names:
            if axes_of(name, catalog):
                rule = f"{name} is a sweep of its own, and no value of another one"
                remedy = f"Train it alone: {command('train', f'{_GROUP}={name}')}"
                raise ConfigError.one(_GROUP, value, rule, remedy, code="cannot-combine")


def _part(root: yaml.MappingNode) -> yaml.MappingNode:
    """The mapping with `sweep` alone."""
    pairs = [pair for pair in root.value if pair[0].value == SWEEP]
    return yaml.MappingNode(root.tag, pairs, root.start_mark, root.end_mark)
