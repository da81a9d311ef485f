"""Which seeds confirm the winner of a study."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count, islice

_FAR = 1000  # above the seed as written: a range of seeds that a person names beside it ends before


def fresh_seeds(written: int, used: Collection[int], num: int) -> list[int]:
    """`num` different seeds, none of them `written`, which trains every trial, or among the seeds `used` by trials."""
    return list(islice((seed for seed in count(written + _FAR) if seed not in used), num))
