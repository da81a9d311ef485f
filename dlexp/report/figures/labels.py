"""Names at an axis or in a table: no more letters than there is room for, and still told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

_MAX_LETTERS = 24


def cut(text: str, most: int = _MAX_LETTERS, keep: Literal["start", "end", "both"] = "start") -> str:
    """A text in at most `most` letters, an ellipsis where some are left out; `keep` says what tells it apart."""
    if len(text) <= most:
        return text
    left = max(0, most - 1)
    end = {"start": 0, "end": left, "both": most // 3}[keep]
    return f"{text[: left - end]}…{text[len(text) - end :]}"


def short_labels(names: Sequence[str], most: int = _MAX_LETTERS) -> list[str]:
    """Each name on one line, in at most `most` letters; those that became the same get their number."""
    found = [cut(" ".join(name.split()), most, "both") for name in names]
    counts = Counter(found)
    return [f"{label} ({place})" if counts[label] > 1 else label for place, label in enumerate(found)]
