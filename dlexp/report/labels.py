"""Names at an axis: no more letters than there is room for, and still told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_MAX_LETTERS = 24


def cut(text: str, most: int) -> str:
    """The first letters of a text, in at most `most` with the two dots that say there was more."""
    return text if len(text) <= most else f"{text[: max(1, most - 2)]}.."


def short_labels(names: Sequence[str], most: int = _MAX_LETTERS) -> list[str]:
    """Each name on one line, in at most `most` letters and an ellipsis; those that became the same get their number."""
    lines = [" ".join(name.split()) for name in names]
    found = [line if len(line) <= most else f"{line[: most - 1]}…" for line in lines]
    counts = Counter(found)
    return [f"{label} ({place})" if counts[label] > 1 else label for place, label in enumerate(found)]
