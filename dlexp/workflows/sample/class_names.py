"""Classes as a person names them, and the classes that samples are made for."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.errors import ConfigError, Problem
from dlexp.specs import ClassSpec
from dlexp.text.nearest import nearest_name, shortened
from dlexp.workflows.sample.maker import SampleMaker
from dlexp.workflows.sample.request import SampleRequest

NO_CLASS = "none"


def names_of_classes(maker: SampleMaker) -> tuple[str, ...]:
    """The names of the classes of the data; () for none."""
    targets = maker.units.spec.targets
    return targets.names if isinstance(targets, ClassSpec) else ()


def wanted_classes(maker: SampleMaker, request: SampleRequest) -> list[int | None]:
    """The classes of a request, all of them where it names none; [] for a model without classes; None is no class.

    Raises ConfigError for names that are no class.
    """
    if not maker.takes_classes:
        return []
    if not request.classes:
        return list(range(len(names_of_classes(maker))))
    return numbers_of_classes(maker, "--class", request.classes, allows_none="guidance" in maker.options)


def numbers_of_classes(
    maker: SampleMaker, option: str, words: Sequence[str], *, allows_none: bool = False
) -> list[int | None]:
    """The numbers of classes that are given by name, or by number; raises ConfigError for all that are neither."""
    names = names_of_classes(maker)
    found: list[int | None] = []
    problems = []
    single = [part for given in words for part in ([given] if given in names else given.split(","))]
    for word in single:
        if word in names:
            found.append(names.index(word))
        elif word.isdecimal() and int(word) < len(names):
            found.append(int(word))
        elif word == NO_CLASS and allows_none:
            found.append(None)
        else:
            near = None if word.isdecimal() else nearest_name(word, names)  # one number is not another misspelled
            remedy = f"Did you mean {near}?" if near else f"Classes: {shortened(names)}."
            problems.append(Problem(option, word, "is no class of the data", remedy, code="unknown-value"))
    if problems:
        raise ConfigError(problems)
    return found


def name_of(maker: SampleMaker, number: int | None) -> str:
    """The name of a class, `none` for no class."""
    return NO_CLASS if number is None else names_of_classes(maker)[number]
