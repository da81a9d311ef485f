"""Typer without pydantic for values that require no conversion.

Typer passes every argument to pydantic, whose import takes 80 ms, as long as typer's own. Texts, flags and defaults
require no conversion; all other values are converted by typer as usual, with its messages.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from typer._click.exceptions import NoArgsIsHelpError, UsageError
from typer._coercion import RuntimeParam, build_runtime_param
from typer.core import TyperGroup
from typer.models import CommandInfo


def only_named(commands: Iterable[CommandInfo], argv: Iterable[str]) -> Iterator[CommandInfo]:
    """The commands; those that are not named on the command line come without their options.

    Typer inspects every option of every command first, which takes a sixth of the time of `dlexp --help`.
    """
    named = set(argv)
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


class InvalidLine(Exception):
    """A command line that a command refuses before it runs.

    Attributes:
        error: The error of typer, with its own message.
    """

    def __init__(self, error: UsageError) -> None:
        super().__init__(str(error))
        self.error = error


class PlainGroup(TyperGroup):
    """A group of commands whose parameters skip pydantic where possible, and whose errors are explained elsewhere.

    Raises InvalidLine in place of the usage errors of typer.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of the group."""
        try:
            return self._parse(ctx, args)
        except UsageError as error:
            if isinstance(error, NoArgsIsHelpError):
                raise
            raise InvalidLine(error) from error

    def invoke(self, ctx: Any) -> Any:
        """Run the command of the line."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            if isinstance(error, NoArgsIsHelpError):
                raise
            raise InvalidLine(error) from error

    def _parse(self, ctx: Any, args: list[str]) -> list[str]:
        for command in (self, *self.commands.values()):
            for parameter in (*command.params, command.get_help_option(ctx)):
                described: Any = parameter
                kind = described.type_descriptor
                described._runtime_param = _Plain(kind.parameter_info, kind.annotation)
        return super().parse_args(ctx, args)


class _Plain(RuntimeParam):
    """A parameter that returns a value of the right type unchanged."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        is_texts = isinstance(value, tuple | list) and all(type(item) is str for item in value)
        if (is_texts and get_args(self.annotation) == (str,)) or (is_texts and not value):
            return list(value)
        if type(value) is self.annotation and not isinstance(value, int | float):
            return value
        if isinstance(value, int | float) and type(value) is self.annotation and value == param.default:
            return value
        return build_runtime_param(param.type_descriptor).coerce(value, param, ctx)
