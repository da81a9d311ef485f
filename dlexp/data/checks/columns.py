"""Checks of columns: constant, the same twice, far outliers, not normalised, missing cells.

Symbols: N rows, F features, O target values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.original_units import Cells
from dlexp.findings import Dropped, Finding, counted, dropping, finding

Columns = Mapping[str, Cells]

_MADS, _FAR_MADS = 6.0, 100.0  # median absolute deviations from the median: an outlier, and probably a mistake
_RARE = 0.1  # share of the rows that are outliers at most
_OFF, _NARROW, _WIDE = 1.0, 0.1, 10.0  # |mean| and deviation, beyond which a feature is learnt at a rate of its own
_SAME = 0.9999  # correlation of columns that say the same, in other units perhaps
_MOST_COMPARED = 2000  # columns that are compared with each other
_MOSTLY = 0.5  # share of cells that are missing


def constant(columns: Columns, left_out: Sequence[str], dropped: Dropped) -> list[Finding]:
    """Columns that hold one value.

    left_out  those that the source has left out for it
    dropped   what data.drop names already, None where the source has no such key
    """
    names = [name for name, cells in columns.items() if len(cells) and _is_constant(cells)]
    found = []
    if names:
        what = f"{counted(len(names), 'column holds', 'columns hold')} one value in every training row"
        found.append(finding("warning", "constant", what, names, dropping(names, dropped)))
    if left_out:
        what = f"{counted(len(left_out), 'column holds', 'columns hold')} one value and was not read"
        what = what.replace("was not", "were not") if len(left_out) > 1 else what
        found.append(finding("warning", "constant", what, left_out, dropping(left_out, dropped)))
    return found


def no_features(index: Mapping[str, str]) -> list[Finding]:
    """Columns that the source leaves out because they number or divide the rows.

    index  name -> why, a phrase that follows it
    """
    if not index:
        return []
    what = counted(len(index), "column was not read: it describes", "columns were not read: they describe") + " no row"
    where = [f"{name or repr(name)}: {why}" for name, why in index.items()]
    return [finding("note", "index", what, where)]


def doubled(columns: Columns, dropped: Dropped) -> list[Finding]:
    """Columns that say what an earlier one says: equal, or a straight function of it (correlation 0.9999)."""
    pairs, later = [], []
    numbers = {name: cells for name, cells in columns.items() if not isinstance(cells, list)}
    names = [name for name, cells in numbers.items() if not _is_constant(cells)][:_MOST_COMPARED]
    if len(names) > 1:
        related = np.abs(np.corrcoef(np.stack([numbers[name] for name in names])))
        for one, other in np.argwhere(np.triu(related >= _SAME, k=1)):
            pairs.append(f"{names[one]} = {names[other]}")
            later.append(names[other])
    seen: dict[bytes, str] = {}
    for name, cells in columns.items():
        if isinstance(cells, list) and not _is_constant(cells):
            first = seen.setdefault(_in_order_of_appearance(cells).tobytes(), name)
            if first != name:
                pairs.append(f"{first} = {name}")
                later.append(name)
    if not pairs:
        return []
    later = list(dict.fromkeys(later))
    what = f"{counted(len(later), 'column says', 'columns say')} what an earlier one says"
    return [finding("warning", "same columns", what, pairs, dropping(later, dropped))]


def outliers(columns: Columns, named: Callable[[NDArray[np.int64]], list[str]], remedy: str) -> list[Finding]:
    """Numbers more than six median absolute deviations from the median.

    A column of which more than half is one value has no such deviation and is passed over; where more than a tenth of
    the rows lie so far out the column has two heaps, or a long tail, and no outliers.
    named   positions (B,) of rows -> what each is called
    remedy  for those more than a hundred away, which are often codes for missing
    """
    some: list[str] = []
    far: list[str] = []
    for name, cells in columns.items():
        if isinstance(cells, list):
            continue
        middle = np.median(cells)
        spread = float(np.median(np.abs(cells - middle)))
        away = np.abs(cells - middle) / spread if spread > 0 else np.zeros(len(cells))
        count, worst = int((away > _MADS).sum()), int(away.argmax()) if len(away) else 0
        if 0 < count <= _RARE * len(cells):
            (place,) = named(np.array([worst]))
            text = f"{name}: {count:,}, as {cells[worst]:.6g} in {place} ({away[worst]:.0f} deviations)"
            (far if away[worst] > _FAR_MADS else some).append(text)
    found = []
    for texts, most in ((far, _FAR_MADS), (some, _MADS)):
        if texts:
            what = f"{counted(len(texts), 'column has', 'columns have')} numbers beyond {most:.0f} median deviations"
            is_far = texts is far
            found.append(finding("warning" if is_far else "note", "outliers", what, texts, remedy if is_far else ""))
    return found


def unnormalised(
    names: Sequence[str], mean: NDArray[np.float64], std: NDArray[np.float64], remedy: str
) -> list[Finding]:
    """Features that reach the network with a mean far from 0 or a deviation far from 1.

    mean, std  (F,) after all preprocessing; a deviation of 0 is a constant feature, another finding
    """
    off = (std > 0) & ((np.abs(mean) > _OFF) | (std < _NARROW) | (std > _WIDE))
    if not off.any():
        return []
    where = [f"{names[n]}: mean {mean[n]:.3g}, deviation {std[n]:.3g}" for n in np.flatnonzero(off).tolist()]
    what = f"{counted(len(where), 'feature reaches', 'features reach')} the network far from mean 0 and deviation 1"
    return [finding("warning", "not normalised", what, where, remedy)]


def missing(found: Mapping[str, tuple[int, Sequence[str]]], total: int, dropped: Dropped) -> list[Finding]:
    """Columns with missing cells.

    found  name of a column -> (how many, what the first rows are called)
    total  rows in all
    """
    mostly = [name for name, (count, _) in found.items() if count > _MOSTLY * total]
    findings = []
    for names in (mostly, [name for name in found if name not in mostly]):
        where = [f"{name}: {found[name][0]:,} ({found[name][0] / total:.1%}), as {found[name][1][0]}" for name in names]
        if names is mostly and names:
            what = f"{counted(len(names), 'column lacks', 'columns lack')} most of the cells"
            findings.append(finding("warning", "missing", what, where, dropping(names, dropped)))
        elif names:
            what = f"{counted(len(names), 'column has', 'columns have')} missing cells: a number becomes the median"
            findings.append(finding("note", "missing", what, where))
    return findings


def alike_labels(names: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Classes and categories that differ by case, blanks or the form of a letter alone, and may be one.

    names  column -> its labels
    """
    where = []
    for column, labels in names.items():
        seen: dict[str, list[str]] = {}
        for label in labels:
            seen.setdefault("".join(normalize("NFKC", label).casefold().split()), []).append(label)
        where += [f"{column}: {' = '.join(map(repr, some))}" for some in seen.values() if len(some) > 1]
    if not where:
        return []
    what = f"{counted(len(where), 'label is', 'labels are')} spelled in several ways, by case or blanks"
    return [finding("warning", "labels alike", what, where, "write each in one way")]


def _is_constant(cells: Cells) -> bool:
    return len(set(cells)) <= 1 if isinstance(cells, list) else bool((cells == cells[0]).all())


def _in_order_of_appearance(cells: Sequence[str]) -> NDArray[np.int64]:
    """(N,) numbers of the categories, the first that appears being 0: equal where only the names differ."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(cell, len(numbers)) for cell in cells], dtype=np.int64)
