"""The overrides of a command line with configuration files: those of the files, then those of the line.

What a file is, is decided by its content, in this order:

    a list                       words KEY=VALUE, such as the overrides.yaml of a run
    a mapping with `choices`     a complete configuration: a run's config.yaml, the output of `dlexp config`
    any other mapping            changes: GROUP: OPTION and KEY: VALUE, nested or dotted; an experiment's `defaults`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from dlexp.config.compose import load_unfitted
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.given import GivenFile, read_given
from dlexp.config.files.words import FileWord, key_of, without_replaced
from dlexp.config.given.complete import complete_words, is_complete
from dlexp.config.given.nodes import FileReading
from dlexp.config.given.plain import list_words, mapping_words
from dlexp.config.schema.names import SEARCH
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import shell_word


def with_files(paths: Sequence[Path], line: Sequence[str], catalog: Catalog, base: str = "") -> tuple[str, ...]:
    """Return the overrides of files and line, in this order; a key of a file that is set again later is left out.

    Args:
        paths: The files, `-` for standard input.
        line: The overrides on the command line.
        catalog: The available options.
        base: The option whose run is changed, such as --from, "" for the defaults.

    Raises ConfigError with all problems of all files.
    """
    files, problems = [], list[Problem]()
    for path in paths:
        try:
            files.append(read_given(path))
        except ConfigError as error:
            problems += error.problems
    problems += _misplaced(files, base)
    words: list[str] = list(line)
    for file in reversed(files):
        reading = FileReading(file)
        words = [*_words(reading, words, catalog), *words]
        problems += reading.problems
    found = without_replaced(words)
    if problems:
        raise ConfigError([*problems, *_further(found, catalog)])
    return found


def _words(reading: FileReading, later: Sequence[str], catalog: Catalog) -> list[FileWord]:
    root = reading.file.root
    if isinstance(root, yaml.SequenceNode):
        return list_words(reading)
    return complete_words(reading, later, catalog) if is_complete(root) else mapping_words(reading, root, catalog)


def _misplaced(files: Sequence[GivenFile], base: str) -> list[Problem]:
    """Return the problems of complete configurations, which set every key, behind something else that sets keys."""
    found = []
    for number, file in enumerate(files):
        if is_complete(file.root) and (number or base):
            before = base or f"--config {shell_word(files[0].name)}"
            rule = f"is a complete configuration, which leaves nothing of {before}"
            remedy = "Remove one of the two." if base else f"Give it first: --config {shell_word(file.name)} {before}"
            found.append(Problem("--config", file.name, rule, remedy, code="cannot-combine"))
    return found


def _further(words: Sequence[str], catalog: Catalog) -> list[Problem]:
    """Return the problems of the overrides, to be reported together with those of the files."""
    try:
        load_unfitted([word for word in words if key_of(word).partition(".")[0] != SEARCH], catalog)
    except ConfigError as error:
        return list(error.problems)
    return []
