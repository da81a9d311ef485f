"""The problem of a name of another tool, with the words to type in its place."""

from __future__ import annotations

from collections.abc import Collection

from dlexp.config.habits.habit import Habit
from dlexp.config.habits.lookup import words_of
from dlexp.errors import Problem
from dlexp.text.quoting import shell_word


def habit_problem(
    habit: Habit, name: str, value: str | None, chosen: Collection[str], *, where: str = "", origin: str = ""
) -> Problem:
    """Return the problem of a name of another tool.

    Args:
        habit: Of the name.
        name: As typed, without leading dashes.
        value: As typed, in the override grammar; None for an option without a value.
        chosen: The groups whose options the line chooses.
        where: The place of the problem, "" for the name.
        origin: File and line, "" for the command line.
    """
    answer = habit.answer(value)
    words = words_of(answer, chosen)
    subject = "unknown option" if where.startswith("-") else "unknown configuration key"
    owner = "" if habit.tools == "scripts" else f", a name of {habit.tools}"
    rule = f"{subject}{owner}: {answer.note}" if answer.note else f"{subject}{owner}"
    typed = " ".join(map(shell_word, words))
    if not words:
        remedy = "Remove it."
    elif answer.is_sure:
        remedy = f"Did you mean {typed}?"
    else:
        remedy = f"Use {typed}"
    instead = words if answer.is_sure and not origin else None
    return Problem(where or name, value or "", rule, remedy, origin, code="unknown-key", instead=instead)
