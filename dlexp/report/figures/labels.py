"""Shortened labels for axes and tables, which remain distinguishable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

_MAX_LETTERS = 24


def cut(text: str, most: int = _MAX_LETTERS, keep: Literal["start", "end", "both"] = "start") -> str:
    """A text shortened to `most` characters with an ellipsis; `keep` names the part to keep."""
    if len(text) <= most:
        return text
    left = max(0, most - 1)
    end = {"start": 0, "end": left, "both": most // 3}[keep]
    return f"{text[: left - end]}…{text[len(text) - end :]}"


def short_labels(names: Sequence[str], most: int = _MAX_LETTERS) -> list[str]:
    """Names on one line, shortened to `most` characters; equal results are numbered."""
    found = [cut(" ".join(name.split()), most, "both") for name in names]
    counts = Counter(found)
    return [f"{label} ({place})" if counts[label] > 1 else label for place, label in enumerate(found)]
