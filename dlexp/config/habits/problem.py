"""The problem of a name of another tool, with the words to type in its place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from dlexp.config.habits.habit import Habit
from dlexp.config.habits.lookup import typed_words
from dlexp.config.habits.typing import TypedWord
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
    if "." in name:  # model.units: the group is chosen
        chosen = {*chosen, name.partition(".")[0]}
    words = typed_words(answer, chosen)
    subject = "unknown option" if where.startswith("-") else "unknown configuration key"
    owner = "" if habit.tools == "scripts" else f", a name of {habit.tools}"
    note = answer.note
    if not note and where.startswith("-") and words and not words[0].startswith("-"):
        note = "keys of the configuration have no dashes"
    rule = f"{subject}{owner}; {note}" if note else f"{subject}{owner}"
    typed = " ".join(map(shell_word, words))
    if not words:
        remedy = "Remove it."
    elif answer.is_sure:
        remedy = f"Did you mean {typed}?"
    else:
        remedy = f"Use {typed}"
    instead = words if answer.is_sure and not origin else None
    return Problem(where or name, value or "", rule, remedy, origin, code="unknown-key", instead=instead)


def problems_of(item: TypedWord, problem: Problem | None) -> list[Problem]:
    """Return the problem of how a word was typed and the problem of the word, with one correction of both.

    Args:
        item: The word.
        problem: What is wrong with the word as it was meant, None for nothing.
    """
    found = [] if problem is None else [replace(problem, typed=item.typed)]
    if not item.rule:
        return found
    instead = (item.word,) if problem is None else problem.instead
    remedy = f"Type {' '.join(map(shell_word, instead))}" if instead else ""
    where = " ".join(item.typed)
    typing = Problem(where, "", item.rule, remedy, code="invalid-syntax", typed=item.typed, instead=instead)
    return [typing, *found]
