"""The sweep of an experiment: the axes under `sweep` in its file, so that its name alone trains the whole grid.

    sweep:
      optim: [sgd, adamw]
      seed: range(5)

The axes are words that precede those of the line, so a word of the line replaces an axis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from dlexp.config.files.builtin import option_file
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.given import GivenFile
from dlexp.config.files.words import FileWord, key_of, without_replaced
from dlexp.config.files.yaml_files import Leaf, bases_of, read_yaml
from dlexp.config.given.nodes import FileReading
from dlexp.config.given.plain import special_words
from dlexp.config.schema.names import SWEEP
from dlexp.errors import ConfigError
from dlexp.text.quoting import command

_GROUP = "experiment"
_NAME = re.compile(r"[\w-]+")


def with_sweep_of_experiment(words: Sequence[str], catalog: Catalog, replaced: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the words of a line with the axes of the experiment that they choose; the same words where it has none.

    Args:
        words: The overrides of the line.
        catalog: The available options.
        replaced: Further keys that the line decides, such as seed with --seeds.

    Raises ConfigError for an invalid `sweep` in the file.
    """
    chosen = [word.partition("=")[2] for word in words if key_of(word) == _GROUP]
    if not chosen:
        return tuple(words)
    axes = [word for word in axes_of(chosen[-1], catalog) if key_of(word) not in replaced]
    return without_replaced([*axes, *words]) if axes else tuple(words)


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
        reading = FileReading(GivenFile(name, _part(root)))
        found += special_words(reading, reading.file.root, catalog)
        if reading.problems:
            raise ConfigError(reading.problems)
    last = {key_of(word): word for word in found}  # of a key that a base sets too, its own
    return tuple(last.values())


def refuse_among_others(words: Sequence[str], catalog: Catalog) -> None:
    """Raise ConfigError for an experiment with a sweep of its own among several values of `experiment`."""
    for word in words:
        key, _, value = word.partition("=")
        names = [name for name in catalog.options(_GROUP) if name in _NAME.findall(value) or "glob" in value]
        if key != _GROUP or value in names:
            continue
        for name in names:
            if axes_of(name, catalog):
                rule = f"{name} is a sweep of its own, and no value of another one"
                remedy = f"Train it alone: {command('train', f'{_GROUP}={name}')}"
                raise ConfigError.one(_GROUP, value, rule, remedy, code="cannot-combine")


def _part(root: yaml.MappingNode) -> yaml.MappingNode:
    """The mapping with `sweep` alone."""
    pairs = [pair for pair in root.value if pair[0].value == SWEEP]
    return yaml.MappingNode(root.tag, pairs, root.start_mark, root.end_mark)
