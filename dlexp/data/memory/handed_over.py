"""The data that a Python program hands over, where the data sources of this room find it.

A configuration names data and holds none, so that a run can be repeated from its files. What a program hands over is
in memory alone: it is known in the body of `hand_over`, in that thread and in the processes that it forks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dlexp.errors import ConfigError

# The name that messages give to the data, in place of a file.
PLACE = Path("data")

_given: ContextVar[object | None] = ContextVar("handed_over", default=None)


@contextmanager
def hand_over(data: object | None) -> Iterator[None]:
    """Let the data sources of this room find `data` in the body; None for none."""
    before = _given.set(data)
    try:
        yield
    finally:
        _given.reset(before)


def handed_over(kind: str, option: str, instead: str) -> object:
    """The data that was handed over.

    Args:
        kind: What is expected, such as "a DataFrame".
        option: The option of `data` that reads it.
        instead: The options that read the same from a file.

    Raises:
        ConfigError: Nothing was handed over.
    """
    found = _given.get()
    if found is None:
        rule = f"is {kind} handed over in Python, which the run does not keep"
        remedy = (
            "Hand it over again in Python: run.evaluate(data=...), run.doctor(data=...), run.resume(data=...) "
            "or dlexp.train(data=...). "
            f"On the command line, save it to a file and train with {instead}"
        )
        raise ConfigError.one("data", option, rule, remedy, code="missing-value")
    return found


def names_handed_over() -> list[str]:
    """The names of the columns of the DataFrame that was handed over; [] without one."""
    return [str(name) for name in getattr(_given.get(), "columns", ())]
