"""Texts that cannot be used: empty ones, and those of unknown tokens only; refused, or left out and told.

Symbols: N texts of a source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.data.splitting import Rows
from dlexp.errors import DataError
from dlexp.findings import counted, listed_places

_SKIP = "data.on_bad=skip"


@dataclass(frozen=True)
class BadText:
    """What makes errors about texts of a source.

    file     the source
    refusal  (message, number of the text, remedy) -> the error that names its place
    named    numbers of texts (B,) -> their places
    """

    file: Path
    refusal: Callable[[str, int, str], DataError]
    named: Callable[[NDArray[np.int64]], list[str]]


def kept_texts(
    texts: list[str], bad: BadText, on_bad: str
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """(numbers of the texts that are not blank, the places of the others, a note about them).

    Raises DataError for blank texts unless `on_bad` is skip, and where none is left.
    """
    is_blank = np.fromiter((not text.strip() for text in texts), dtype=np.bool_, count=len(texts))
    blank = np.flatnonzero(is_blank)
    if not len(blank):
        return np.arange(len(texts), dtype=np.int64), (), ()
    _refuse(bad, blank, "the text is empty", "Fill it in, delete it", on_bad)
    if len(blank) == len(texts):
        raise DataError("every text is empty", file=bad.file, code="too-few-samples")
    places = bad.named(blank)
    note = f"{counted(len(blank), 'empty text')} left out: {listed_places(places)}"
    return np.flatnonzero(~is_blank).astype(np.int64), tuple(f"{place} (empty)" for place in places), (note,)


def without_bad(
    bad: BadText, rows: tuple[Rows, Rows, Rows], unknown: NDArray[np.bool_], on_bad: str, unit: str
) -> tuple[tuple[Rows, Rows, Rows], tuple[str, ...], tuple[str, ...]]:
    """(the rows of each split without texts of unknown tokens only, the places of those, a note about them).

    unknown  (N,) whether a text has no known token
    Raises DataError for such texts unless `on_bad` is skip, and for a split without any other.
    """
    used = np.sort(np.concatenate(rows))
    wrong = used[unknown[used]]
    if not len(wrong):
        return rows, (), ()
    remedy = "Correct it" if unit == "character" else "Correct it, set data.unit=subword or data.unit=character"
    rule = f"the text has no {unit} that the vocabulary of the training split has"
    _refuse(bad, wrong, rule, remedy, on_bad)
    train, val, test = (part[~unknown[part]] for part in rows)
    for name, part in zip(("train", "val", "test"), (train, val, test), strict=True):
        if not len(part):
            rule = f"no text of {name} has a {unit} of the vocabulary"
            raise DataError(rule, file=bad.file, remedy="Set data.unit=character", code="too-few-samples")
    places = bad.named(wrong)
    note = f"{counted(len(wrong), 'text')} without any known {unit} left out: {listed_places(places)}"
    return (train, val, test), tuple(f"{place} (no known {unit})" for place in places), (note,)


def _refuse(bad: BadText, wrong: NDArray[np.int64], rule: str, remedy: str, on_bad: str) -> None:
    if on_bad == "skip":
        return
    more = f"; so are {len(wrong) - 1:,} more: {listed_places(bad.named(wrong[1:]))}" if len(wrong) > 1 else ""
    more = more.replace("so are", "so is", 1) if len(wrong) == 2 else more
    raise bad.refusal(f"{rule}{more}", int(wrong[0]), f"{remedy}, or leave such texts out: {_SKIP}")
