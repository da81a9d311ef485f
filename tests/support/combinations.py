"""Products that are too large for every run: a part in which everything is seen, and the rest marked `exhaustive`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, TypeVar

import pytest

_Left = TypeVar("_Left")
_Right = TypeVar("_Right")


def spread(left: Sequence[_Left], right: Sequence[_Right], meetings: int) -> set[tuple[_Left, _Right]]:
    """Pairs in which each of `left` meets `meetings` of `right`, and each of `right` is met about as often.

    All pairs of two lists are their product; this part of it grows with the longer list alone.
    """
    rounds = max(min(meetings, len(right)), ceil(len(right) / len(left)))
    places = range(rounds)
    return {(one, right[(number * rounds + place) % len(right)]) for number, one in enumerate(left) for place in places}


def some_of(product: Iterable[tuple[Any, ...]], chosen: set[tuple[Any, ...]]) -> list[Any]:
    """The cases of the product for `pytest.mark.parametrize`; those that are not chosen are marked `exhaustive`."""
    marks = {True: (), False: (pytest.mark.exhaustive,)}
    return [pytest.param(*case, marks=marks[case in chosen]) for case in product]
