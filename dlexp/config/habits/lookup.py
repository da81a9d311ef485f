"""The habit that a name belongs to, and what to type in its place."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from dlexp.config.habits.components import DATA, MODEL, REGULARIZATION
from dlexp.config.habits.habit import Answer, Habit
from dlexp.config.habits.line import COMMANDS, LINE, TUNE
from dlexp.config.habits.training import LENGTH, MACHINE, OPTIMIZER, SCHEDULE, WATCHING
from dlexp.config.schema.names import GROUPS

HABITS: tuple[Habit, ...] = (
    *LENGTH,
    *OPTIMIZER,
    *SCHEDULE,
    *MACHINE,
    *WATCHING,
    *DATA,
    *MODEL,
    *REGULARIZATION,
    *LINE,
    *TUNE,
)


@cache
def _by_name() -> dict[str, Habit]:
    return {name: habit for habit in HABITS for name in habit.names.split()}


def normalized(name: str) -> str:
    """Return a name as in the tables: in lower case, with underscores for dashes."""
    return name.lower().replace("-", "_")


def habit_of(name: str) -> Habit | None:
    """Return the habit of `learning-rate`, `optimizer.learning_rate` or `hydra.run.dir`; None if there is none."""
    known, name = _by_name(), normalized(name)
    return known.get(name) or known.get(name.rpartition(".")[2])


def key_meant(name: str) -> str | None:
    """Return the key or group that another tool calls `name` and that takes the same value; None if there is none."""
    habit = habit_of(name)
    key, _, rest = habit.to.partition("=") if habit else ("", "", "")
    return key if rest == "{}" and not key.startswith("-") else None


def command_meant(name: str) -> tuple[str, ...]:
    """Return command and words for a command of another tool, such as fit; () if there is none."""
    return tuple(COMMANDS.get(normalized(name), "").split())


def group_meant(head: str) -> str:
    """Return the group or section that `optimizer` stands for in optimizer.lr; the name itself if there is none."""
    habit = _by_name().get(normalized(head))
    name, _, rest = habit.to.partition("=") if habit else ("", "", "")
    return name if name in GROUPS and rest == "{}" else head


def typed_words(answer: Answer, chosen: Collection[str]) -> tuple[str, ...]:
    """Return the words of an answer without options of groups that the line chooses already.

    Args:
        answer: Of a habit, such as `optim=sgd optim.momentum=0.9`.
        chosen: The groups that the line chooses.
    """
    if len(answer.words) < 2:
        return answer.words
    return tuple(word for word in answer.words if word.partition("=")[0] not in chosen)
