"""Labels of a column of texts: one for each value, even if it has several spellings.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.raw_column import Spelled
from dlexp.data.tables.spelling import cell_identity, has_leading_zero, is_word, number_in
from dlexp.errors import DataError

Refusal = Callable[..., DataError]  # (message, row=..., remedy=...) -> the error
_REMEDY = "Use one spelling."


@dataclass(frozen=True)
class Labels:
    """A column of labels.

    codes   (N,) int64: the label number of each cell, -1 for a missing cell
    names   the labels, each of which occurs
    merged  the first two spellings of each label with several spellings
    """

    codes: NDArray[np.int64]
    names: tuple[str, ...]
    merged: tuple[tuple[str, str], ...] = ()

    def note(self, name: str) -> list[str]:
        """A message about labels with several spellings; [] if there are none."""
        if not self.merged:
            return []
        one, other = self.merged[0]
        more = f" (and {len(self.merged) - 1} more)" if len(self.merged) > 1 else ""
        return [f"column {name!r}: the spellings {one!r} and {other!r}{more} were merged into one label"]


def labels_of(spelled: Spelled, refusal: Refusal) -> Labels:
    """The labels of a column, with the spellings of one value merged.

    The name of a label is the `identity` of its value if the column has only numbers, booleans, dates and times; its
    most frequent spelling otherwise. Raises the error of `refusal` for a number with and without leading zeros (01, 1),
    and for two spellings of a number among other texts (1, 1.0 and A).
    """
    codes, texts = spelled.codes, spelled.distinct
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    used = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
    spellings: dict[str, list[int]] = {}
    for number in used:
        spellings.setdefault(cell_identity(texts[number]), []).append(number)
    _refuse_zeros(codes, texts, used, refusal)
    is_mixed = any(is_word(texts[number]) for number in used)
    places = np.full(len(texts) + 1, -1, dtype=np.int64)
    names: list[str] = []
    merged: list[tuple[str, str]] = []
    for label, (meaning, numbers) in enumerate(spellings.items()):
        names.append(texts[numbers[0]] if is_mixed else meaning)
        places[numbers] = label
        if len(numbers) > 1:
            one, other = texts[numbers[0]], texts[numbers[1]]
            if is_mixed and number_in(one) is not None:
                rule = f"{other!r} and {one!r} are two spellings of one number in a column of texts"
                raise refusal(rule, row=first_row(codes, numbers[1]), remedy=_REMEDY)
            merged.append((one, other))
    return Labels(places[codes], tuple(names), tuple(merged))


def first_row(codes: NDArray[np.int64], code: int) -> int:
    """The first row with a code."""
    return int(np.argmax(codes == code))


def _refuse_zeros(codes: NDArray[np.int64], texts: Sequence[str], used: Sequence[int], refusal: Refusal) -> None:
    """Raise the error of `refusal` for a number with leading zeros in one cell and without in another."""
    if not any(has_leading_zero(texts[number]) for number in used):
        return
    seen: dict[float, int] = {}
    for number in used:
        value = number_in(texts[number])
        if value is None:
            continue
        other = seen.setdefault(value, number)
        if cell_identity(texts[other]) != cell_identity(texts[number]):
            rule = f"{texts[number]!r} and {texts[other]!r} are one number with and without leading zeros"
            raise refusal(rule, row=first_row(codes, number), remedy=_REMEDY)
