"""The valid name that a misspelled word stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LIMIT = 8  # of names in a list within a sentence


def nearest_name(word: str, names: Iterable[str]) -> str | None:
    """Return the name closest to `word`, None if there is no close one."""
    folded = {name.lower(): name for name in names}
    match = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None


def misspelled_name(word: str, names: Iterable[str]) -> str | None:
    """Return the name of which `word` is a misspelling or the beginning, None if it may be another name.

    Stricter than `nearest_name`, for words that may be names of the user's own: `my_mlp` is not `mlp`.
    """
    pool = list(names)
    near = nearest_name(word, pool)
    if near is not None and distance(word.lower(), near.lower()) <= max(1, len(word) // 3):
        return near
    begun = [name for name in pool if len(word) > 2 and name.lower().startswith(word.lower())]
    return min(begun, key=len, default=None)


def distance(one: str, other: str) -> int:
    """Return the number of insertions, deletions, replacements and swaps of neighbors between two words."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        now = [row]
        for column, compared in enumerate(other, start=1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != compared))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == compared:
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        before, last = last, now
    return last[-1]


def shortened(names: Sequence[str], limit: int = LIMIT) -> str:
    """Return names separated by commas; of more than `limit`, the first ones and the total number."""
    return ", ".join(names) if len(names) <= limit else f"{', '.join(names[: limit - 2])}, ... ({len(names)})"
