"""Words of the plainest types, taken as they are.

typer gives every value of the line to pydantic, whose import costs as much as typer's own: 80 ms before the first line
of help for a group, a list or a TAB. A text, a flag and a default need no conversion; whatever else is typed goes to
typer as before, and its messages with it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from typer._coercion import RuntimeParam, build_runtime_param
from typer.core import TyperGroup
from typer.models import CommandInfo


def only_named(commands: Iterable[CommandInfo], words: Iterable[str]) -> Iterator[CommandInfo]:
    """The commands, those that no word names without their options: help tells one line of each and runs none.

    typer looks at every option of every command before it knows which is meant: a sixth of the time of `dlexp --help`.
    """
    named = set(words)
    for command in commands:
        callback = command.callback
        if callback is None or (command.name or callback.__name__.replace("_", "-")) in named:
            yield command
            continue
        outline = copy.copy(command)
        outline.help = command.help or inspect.getdoc(callback)
        outline.callback = lambda: None
        outline.name = command.name or callback.__name__.replace("_", "-")
        yield outline


class PlainGroup(TyperGroup):
    """typer's group of commands; the parameters of all of them try the plain way first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the line, as far as they are the group's own."""
        for command in (self, *self.commands.values()):
            for parameter in (*command.params, command.get_help_option(ctx)):
                described: Any = parameter
                kind = described.type_descriptor
                described._runtime_param = _Plain(kind.parameter_info, kind.annotation)
        return super().parse_args(ctx, args)


class _Plain(RuntimeParam):
    """A value that has its type already is left alone."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        is_texts = isinstance(value, tuple | list) and all(type(item) is str for item in value)
        if (is_texts and get_args(self.annotation) == (str,)) or (is_texts and not value):
            return list(value)
        if type(value) is self.annotation and not isinstance(value, int | float):
            return value
        if isinstance(value, int | float) and type(value) is self.annotation and value == param.default:
            return value
        return build_runtime_param(param.type_descriptor).coerce(value, param, ctx)
