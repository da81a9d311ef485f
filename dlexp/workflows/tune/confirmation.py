"""Seeds for the confirmation of the best trials of a study."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count, islice

_OFFSET = 1000  # above the base seed, beyond the seeds that a user is likely to have used


def fresh_seeds(written: int, used: Collection[int], num: int) -> list[int]:
    """`num` different seeds, none of them the base seed `written` or among the seeds `used` by trials."""
    return list(islice((seed for seed in count(written + _OFFSET) if seed not in used), num))
