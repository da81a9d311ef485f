"""Calls in Python with arguments that a function does not have: the call that was meant, in place of a TypeError."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from dlexp.config.check.suggest import all_paths, nearest_path
from dlexp.config.files.catalog import Catalog
from dlexp.config.habits.lookup import habit_of, typed_words
from dlexp.config.habits.values import translated
from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import misspelled_name
from dlexp.text.quoting import value

_P = ParamSpec("_P")
_R = TypeVar("_R")
_PLAIN = (str, int, float, bool, type(None), Path, np.generic)
_KEYS = "keys of the configuration are texts"


def explains_its_arguments(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, with ConfigError in place of the TypeError of a call that does not fit its arguments."""
    signature = inspect.signature(function)

    @wraps(function)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ConfigError(_problems(_Call(function, signature, args, kwargs), str(error))) from None
        return function(*args, **kwargs)

    return called


class _Call:
    """A call that does not fit: its function, and what was given."""

    def __init__(
        self, function: Callable[..., Any], signature: inspect.Signature, args: Sequence[Any], given: Mapping[str, Any]
    ) -> None:
        names = function.__qualname__.split(".")
        is_method = len(names) > 1
        self.name = f"{_OBJECTS[names[0]]}.{names[-1]}" if is_method else f"dlexp.{names[-1]}"
        parameters = list(signature.parameters.values())[is_method:]
        self.named = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
        self.by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.required = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
        self.takes_words = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.args, self.given = list(args[is_method:]), dict(given)

    def text(self, words: Sequence[str], renamed: Mapping[str, str]) -> str:
        """The call to type: what was given, with `words` and other names of arguments."""
        known = {renamed.get(name, name): content for name, content in self.given.items()}
        placed = [_shown(content, place) for place, content in zip(self._places(), self.args, strict=False)]
        named = [f"{name}={_shown(content, name)}" for name, content in known.items() if name in self.named]
        return f"{self.name}({', '.join([*placed, *map(_quoted, words), *named])})"

    def _places(self) -> list[str]:
        return [*self.by_place, *["overrides"] * (len(self.args) - len(self.by_place) if self.takes_words else 0)]


_OBJECTS = {"Run": "run", "RunSamples": "run", "Examinations": "run", "Compressions": "run", "RunGroup": "group"}


def _problems(call: _Call, reason: str) -> list[Problem]:
    """What is wrong with a call; the last remedy is the call to type, if all of it is known."""
    found: list[Problem] = []
    words: list[str] = []
    renamed: dict[str, str] = {}
    is_sure = True
    for name, content in call.given.items():
        if name in call.named:
            continue
        free = [other for other in call.named if other not in call.given]
        near = None if call.takes_words and _is_key(name) else _option_meant(name, free) or misspelled_name(name, free)
        meant = [] if near or not call.takes_words else list(_words(name, content))
        if near:
            renamed[name] = near
        words += meant
        is_sure = is_sure and bool(near or meant)
        rule = f"{call.name}() has no argument of this name" + (f"; {_KEYS}" if call.takes_words and not near else "")
        remedy = f"Did you mean {', '.join(map(_quoted, meant))}?" if meant else f"Did you mean {near}?" if near else ""
        remedy = remedy or f"It has {', '.join(call.named)}."
        found.append(Problem(name, _given(content), rule, remedy, code="unknown-key"))
    if not found:
        return [_by_place(call, reason)]
    lacking = [name for name in call.required[len(call.args) :] if name not in {*call.given, *renamed.values()}]
    found += [Problem(name, "", f"{call.name}() requires it", code="missing-value") for name in lacking]
    if is_sure and not lacking:
        found[-1] = replace(found[-1], remedy=f"Type {call.text(words, renamed)}")
    return found


def _by_place(call: _Call, reason: str) -> Problem:
    """The problem of arguments that are missing, given twice or too many."""
    lacking = [name for name in call.required[len(call.args) :] if name not in call.given]
    if lacking:
        example = ", ".join([*(_shown(content, "...") for content in call.args), *lacking])
        return Problem(lacking[0], "", "is required", f"Type {call.name}({example})", code="missing-value")
    rest = [name for name in call.named if name not in call.by_place]
    taken = ", ".join([*call.by_place, *(f"{name}=..." for name in rest)])
    return Problem(f"{call.name}()", "", reason, f"It takes ({taken}).", code="invalid-syntax")


def _is_key(name: str) -> bool:
    """Whether a name is a group or a key of the configuration."""
    catalog, key = Catalog(), name.replace("__", ".")
    return key in catalog.groups or key in all_paths(catalog)


def _option_meant(name: str, free: Sequence[str]) -> str | None:
    """The argument that another tool calls `name`, such as run_dir for output_dir; None if there is none."""
    habit = habit_of(name)
    option = habit.to.partition(" {}")[0].removeprefix("--").replace("-", "_") if habit else ""
    return option if option in free else None


def _words(name: str, content: Any) -> Iterator[str]:
    """The overrides that an argument such as model="mlp", lr=0.1 or optim={"lr": 0.1} stands for; none if unknown."""
    if isinstance(content, Mapping):
        yield from (word for key, item in content.items() for word in _words(f"{name}.{key}", item))
        return
    if not isinstance(content, (list, tuple, *_PLAIN)):
        return
    catalog, key = Catalog(), name.replace("__", ".")
    paths = all_paths(catalog)
    plain = (
        content.item() if isinstance(content, np.generic) else str(content) if isinstance(content, Path) else content
    )
    given = value(plain)
    habit = habit_of(key)
    if key in catalog.groups or key in paths:
        yield translated(f"{key}={given}")
    elif habit is not None:
        answer = habit.answer(given)
        if answer.is_sure and not any(word.startswith("-") for word in answer.words):
            yield from typed_words(answer, ())
    elif (near := nearest_path(key, [*paths, *catalog.groups])) is not None:
        yield translated(f"{near}={given}")


def _shown(content: Any, name: str) -> str:
    """A value as typed, or the name of the variable that may hold it."""
    if isinstance(content, str):
        return _quoted(content)
    if isinstance(content, Path):
        return _quoted(str(content))
    if isinstance(content, list | tuple) and all(isinstance(item, str) for item in content):
        return f"[{', '.join(map(_quoted, content))}]"
    is_plain = isinstance(content, int | float | bool | type(None))
    return repr(content) if is_plain or isinstance(content, Mapping) else name


def _given(content: Any) -> str:
    return value(content) if isinstance(content, str | int | float | bool | type(None)) else type(content).__name__


def _quoted(text: str) -> str:
    """A text in Python, in double quotes where they need no escape."""
    return f'"{text}"' if '"' not in text and "\\" not in text and text.isprintable() else repr(text)
