"""A name of another tool and what to type in its place: the form of the rows of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlexp.config.habits.values import translated

_TRUE = ("", "true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0", "none", "null", "never")


@dataclass(frozen=True)
class Answer:
    """What to type in place of a name and its value.

    Attributes:
        words: Words of the command line; () if the name is to be left out.
        note: What a user of the other tool has to know, "" for nothing.
        is_sure: Whether the words mean the same; otherwise they are an example of what there is.
    """

    words: tuple[str, ...]
    note: str
    is_sure: bool


@dataclass(frozen=True)
class Habit:
    """Names of other tools that mean the same.

    Attributes:
        tools: The tools that have the first of the names, or "scripts" if training scripts use it.
        names: The names, separated by spaces, in lower case with underscores; dotted names match as a whole.
        to: The words to type, with {} for the value as given.
        note: What a user of the other tool has to know.
        cases: Value in lower case -> words in place of `to`; "true" and "false" stand for all their spellings and for
            an option without a value; "" leaves the name out.
        example: A value, for tests and docs; "" for an option without a value.
        beside: Words that stand beside it in tests and docs, for keys that not every option has.
        is_sure: False if nothing means the same, and `to` is an example of what there is.
    """

    tools: str
    names: str
    to: str
    note: str = ""
    cases: Mapping[str, str] = field(default_factory=dict)
    example: str = "1"
    beside: str = ""
    is_sure: bool = True

    def answer(self, value: str | None) -> Answer:
        """Return what to type for `value`, a value in the override grammar, None for an option without one."""
        case = self._case((value or "").strip("\"'").lower())
        if case is not None:
            return Answer(tuple(map(translated, case.split())), self.note, True)
        if "{}" not in self.to:
            return Answer(tuple(self.to.split()), self.note, self.is_sure)
        given = "true" if value is None and self.example == "true" else value
        words = [word.replace("{}", "..." if given is None else given) for word in self.to.split()]
        return Answer(tuple(map(translated, words)), self.note, self.is_sure and given is not None)

    def _case(self, value: str) -> str | None:
        if value in self.cases:
            return self.cases[value]
        spelling = "true" if value in _TRUE else "false" if value in _FALSE else None
        return self.cases.get(spelling) if spelling else None
