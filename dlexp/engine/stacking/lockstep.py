"""Several runs in step: each follows its own course, and they make their updates together.

A member that ends leaves the stack, and a smaller one goes on with the weights of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dlexp.engine.loop import Course, Update, follow
from dlexp.engine.stacking.signature import network_signature
from dlexp.engine.stacking.stack import RunStack
from dlexp.engine.stacking.trial import known_problem, problem_of_trial, reason_of_error

T = TypeVar("T")


@dataclass(frozen=True)
class StackPlan:
    """How runs are trained: the numbers of those of each stack, and of those trained alone with the reason."""

    stacks: tuple[tuple[int, ...], ...]
    alone: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The end of a course: its result, or what it raised."""

    result: T | None = None
    error: Exception | None = None


class Lockstep(Generic[T]):
    """Runs that are trained together.

    Args:
        courses: The course of each run.
        alone: Number of a run -> why it is trained alone, where that is known before.
        on_plan: Called with what is stacked and what is not, before the first update.
        on_round: Called before each update of a stack; what it decides holds for all members of the update.
        on_end: Called with the number of a run and its outcome when its course ends.
        on_break: Called with the numbers of the members and the reason when a stack cannot go on; they do, alone.
    """

    def __init__(
        self,
        courses: Sequence[Course[T]],
        alone: Callable[[int], str] = lambda number: "",
        on_plan: Callable[[StackPlan], None] = lambda plan: None,
        on_round: Callable[[], None] = lambda: None,
        on_end: Callable[[int, Outcome[T]], None] = lambda number, outcome: None,
        on_break: Callable[[Sequence[int], str], None] = lambda numbers, reason: None,
    ) -> None:
        self._courses, self._alone, self._on_plan = list(courses), alone, on_plan
        self._on_round, self._on_end, self._on_break = on_round, on_end, on_break
        self._pending: dict[int, Update] = {}
        self.outcomes: dict[int, Outcome[T]] = {}

    def run(self) -> list[Outcome[T]]:
        """Follow all courses to their ends; returns the outcome of each."""
        try:
            for number in range(len(self._courses)):
                self._advance(number, None)
            stacks, alone = self._formed()
            self._on_plan(StackPlan(tuple(tuple(members) for members, _ in stacks), tuple(alone)))
            for members, stack in stacks:
                self._train(members, stack)
            for number, _ in alone:
                self._finish(number)
        finally:
            for course in self._courses:
                course.close()
        return [self.outcomes[number] for number in range(len(self._courses))]

    def _formed(self) -> tuple[list[tuple[list[int], RunStack]], list[tuple[int, str]]]:
        """The stacks with their members, and who is alone, with the reason."""
        groups: dict[Hashable, list[int]] = {}
        alone: list[tuple[int, str]] = []
        for number, update in self._pending.items():
            if problem := self._alone(number) or known_problem(update):
                alone.append((number, problem))
            else:
                groups.setdefault(network_signature(update), []).append(number)
        stacks = []
        for members in groups.values():
            updates = [self._pending[number] for number in members]
            problem = "no other run has a network and batches of the same shapes"
            if len(members) > 1:
                stack, problem = _tried(updates)
                if not problem:
                    stack.begin(updates)
                    stacks.append((members, stack))
            if problem:
                alone += [(number, problem) for number in members]
        return stacks, sorted(alone)

    def _train(self, members: list[int], stack: RunStack) -> None:
        """Train a stack until one member is left, or until it cannot go on; who is left ends alone."""
        while len(members) > 1:
            self._on_round()
            made = stack.make([self._pending[number] for number in members])
            for number, is_made in zip(members, made, strict=True):
                self._advance(number, is_made)
            left = [number for number in members if number in self._pending]
            if stack.problem:
                self._on_break(left, stack.problem)
                members = left
                break
            if len(left) < len(members) and len(left) > 1:
                stack.end()
                updates = [self._pending[number] for number in left]
                stack = RunStack(updates)
                stack.begin(updates)
            members = left
        stack.end()
        for number in members:
            self._finish(number)

    def _advance(self, number: int, made: bool | None) -> None:
        """Let a course go on to its next update or its end."""
        course = self._courses[number]
        try:
            self._pending[number] = next(course) if made is None else course.send(made)
        except StopIteration as end:
            self._end(number, Outcome(end.value))
        except Exception as error:
            self._end(number, Outcome(error=error))

    def _finish(self, number: int) -> None:
        """Let a course make its remaining updates itself."""
        try:
            self._end(number, Outcome(follow(self._courses[number])))
        except Exception as error:
            self._end(number, Outcome(error=error))

    def _end(self, number: int, outcome: Outcome[T]) -> None:
        self._pending.pop(number, None)
        self.outcomes[number] = outcome
        self._on_end(number, outcome)


def _tried(updates: Sequence[Update]) -> tuple[RunStack, str]:
    """A stack of some runs, and why they cannot be stacked, "" where they can; it has changed nothing."""
    stack = RunStack(updates)
    try:
        stack.compute(updates, applies=False)
        problem = problem_of_trial(updates, [losses[0].value for losses in stack.task.losses])
    except Exception as error:  # a network may raise anything
        problem = reason_of_error(error)
    stack.end()
    for update in updates:
        for parameter in update.state.networks.parameters():
            parameter.grad = None
    return (RunStack(updates) if not problem else stack), problem
