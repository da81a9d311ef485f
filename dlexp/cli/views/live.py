"""Progress on standard error, in one of three ways: messages alone, lines, or a live view on a terminal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from rich.console import RenderableType
from rich.live import Live

from dlexp.cli.console import err, escape_lines

Event_contra = TypeVar("Event_contra", contravariant=True)
View = TypeVar("View")


class ProgressView(ABC, Generic[Event_contra]):
    """Shows the messages of a workflow, and the events that it reports as its progress."""

    def say(self, text: str) -> None:
        """Print a message on standard error."""
        err.print(escape_lines(text))

    @abstractmethod
    def observe(self, event: Event_contra, /) -> None:
        """Show progress."""

    def end(self) -> None:
        """Called when the workflow has ended, also after an error."""


class MessageView(ProgressView[object]):
    """Shows messages and no progress."""

    def begin(self, facts: object, /) -> None:
        """Print nothing."""

    def observe(self, event: object, /) -> None:
        """Print nothing."""


class LiveRegion:
    """The last lines of a terminal, redrawn in place, with messages above them."""

    def __init__(self, *, redirect: bool) -> None:
        """Open the region; with `redirect`, what is printed by others also goes above it."""
        self._live = Live(console=err, auto_refresh=False, redirect_stdout=redirect, redirect_stderr=redirect)
        self._live.start()

    def say(self, text: str) -> None:
        """Print a message above the region."""
        self._live.console.print(escape_lines(text))

    def draw(self, content: RenderableType) -> None:
        """Replace what the region shows."""
        self._live.update(content, refresh=True)

    def close(self) -> None:
        """End the region; the last drawing remains on the terminal."""
        self._live.stop()


def select_view(quiet: bool, lines: Callable[[], View], live: Callable[[], View]) -> View | MessageView:
    """The view for standard error: messages if `quiet`, a live view on a terminal, otherwise lines."""
    if quiet:
        return MessageView()
    return live() if err.is_terminal and not err.is_dumb_terminal else lines()
