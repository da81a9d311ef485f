"""Overrides that a configuration file gives: words of a command line that know their file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from dlexp.config.schema.names import CASES
from dlexp.errors import ConfigError

STANDARD_INPUT, STANDARD_INPUT_NAME = "-", "standard input"


class FileWord(str):
    """An override `KEY=VALUE` that a file sets: one given with --config, or that of an experiment.

    Attributes:
        place: `file:line`.
        option: The option that gives the file, or what the word is of it.
    """

    place: str
    option: str

    def __new__(cls, text: str, place: str = "", option: str = "--config") -> Self:
        """Return `text` with its place."""
        word = super().__new__(cls, text)
        word.place, word.option = place, option
        return word


class CaseWord(FileWord):
    """The cases of a sweep: named sets of overrides, of which each job has one.

    Attributes:
        cases: Name -> its overrides.
    """

    cases: Mapping[str, tuple[FileWord, ...]]

    @classmethod
    def of(cls, cases: Mapping[str, tuple[FileWord, ...]], place: str, option: str = "--config") -> CaseWord:
        """Return the word `cases=NAME,NAME` of these cases."""
        word = cls(f"{CASES}={','.join(cases)}", place, option)
        word.cases = cases
        return word


def place_of(word: str | None) -> str:
    """Return `file:line` of an override from a file, "" for one of the command line."""
    return word.place if isinstance(word, FileWord) else ""


def file_words(word: str) -> tuple[str, str]:
    """Return the option that gives the file of a word, and the file."""
    name = place_of(word).rpartition(":")[0]
    return word.option if isinstance(
        word, FileWord
    ) else "--config", STANDARD_INPUT if name == STANDARD_INPUT_NAME else name


def as_of(word: str, text: str) -> str:
    """Return `text`, made of the override `word`, with the place of `word` if it has one."""
    return FileWord(text, word.place, word.option) if isinstance(word, FileWord) else text


def key_of(word: str) -> str:
    """Return the key of an override, without the `+` that adds it."""
    return word.partition("=")[0].lstrip("+~")


def without_replaced(words: Sequence[str]) -> tuple[str, ...]:
    """Return `words` without those of files whose key a later word sets."""
    last = {key_of(word): number for number, word in enumerate(words)}
    return tuple(w for number, w in enumerate(words) if not isinstance(w, FileWord) or last[key_of(w)] == number)


@contextmanager
def placing(words: Sequence[str]) -> Iterator[None]:
    """Give each problem of a ConfigError raised in the block the file and line of the override that causes it."""
    places = {name: place_of(word) for word in words for name in (key_of(word), str(word))}
    try:
        yield
    except ConfigError as error:
        found = [
            problem if problem.origin else replace(problem, origin=places.get(problem.where, ""))
            for problem in error.problems
        ]
        if found == list(error.problems):
            raise
        raise ConfigError(found) from error
