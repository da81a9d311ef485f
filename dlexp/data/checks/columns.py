"""Checks of columns: constant, redundant, outliers, not normalized, missing cells.

Symbols: N rows, F features, O target values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from dlexp.data.tables.original_units import ColumnValues
from dlexp.findings import Declared, Finding, counted, dropped, finding

Columns = Mapping[str, ColumnValues]

_MADS, _FAR_MADS = 6.0, 100.0  # median absolute deviations from the median: outlier, and probable mistake
_RARE = 0.1  # largest share of rows that are outliers
_OFF, _NARROW, _WIDE = 1.0, 0.1, 10.0  # |mean| and deviation outside of which a feature slows training
_SAME = 0.9999  # correlation of redundant columns, e.g. in other units
_MOST_COMPARED = 2000  # columns compared with each other
_MOSTLY = 0.5  # share of missing cells for a warning


def constant_columns(columns: Columns, left_out: Sequence[str], declared: Declared) -> list[Finding]:
    """Findings for columns with a single value.

    left_out  those that the source has dropped for this reason
    declared  the current data.columns, None if the source has no such key
    """
    names = [name for name, cells in columns.items() if len(cells) and _is_constant(cells)]
    found = []
    if names:
        what = f"{counted(len(names), 'column has', 'columns have')} a single value in the training rows"
        found.append(dropped("warning", "constant", what, names, names, declared))
    if left_out:
        what = counted(len(left_out), "column is left out, with", "columns are left out, each with") + " a single value"
        found.append(dropped("warning", "constant", what, left_out, left_out, declared))
    return found


def no_features(index: Mapping[str, str]) -> list[Finding]:
    """Findings for columns that the source leaves out: indexes, identifiers, texts, names of splits.

    index  name -> reason, a phrase that follows the name
    """
    if not index:
        return []
    what = counted(len(index), "column is left out", "columns are left out")
    where = [f"{name or repr(name)}: {why}" for name, why in index.items()]
    return [finding("note", "left out", what, where)]


def redundant(columns: Columns, declared: Declared) -> list[Finding]:
    """Findings for columns that equal an earlier one, or are a linear function of it (correlation 0.9999)."""
    pairs, later = [], []
    numbers = {name: cells for name, cells in columns.items() if not isinstance(cells, list)}
    names = [name for name, cells in numbers.items() if not _is_constant(cells)][:_MOST_COMPARED]
    if len(names) > 1:
        related = np.abs(np.corrcoef(np.stack([numbers[name] for name in names])))
        for one, other in np.argwhere(np.triu(related >= _SAME, k=1)):
            pairs.append(f"{names[one]} = {names[other]}")
            later.append(names[other])
    first_with: dict[bytes, str] = {}
    for name, cells in columns.items():
        if isinstance(cells, list) and not _is_constant(cells):
            first = first_with.setdefault(_in_order_of_appearance(cells).tobytes(), name)
            if first != name:
                pairs.append(f"{first} = {name}")
                later.append(name)
    if not pairs:
        return []
    later = list(dict.fromkeys(later))
    what = counted(len(later), "column is redundant with an earlier one", "columns are redundant with earlier ones")
    return [dropped("warning", "redundant columns", what, pairs, later, declared)]


def outliers(columns: Columns, named: Callable[[NDArray[np.int64]], list[str]], remedy: str) -> list[Finding]:
    """Findings for numbers more than six median absolute deviations from the median.

    Columns with one value in more than half of the rows have no such deviation and are skipped. If more than a tenth of
    the rows are that far out, the column is bimodal or long-tailed, and they are not outliers.

    named   positions (B,) of rows -> their names
    remedy  for numbers more than a hundred deviations away, which are often codes for missing values
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
            text = f"{name}: {count:,}, such as {cells[worst]:.6g} in {place} ({away[worst]:.0f} deviations)"
            (far if away[worst] > _FAR_MADS else some).append(text)
    found = []
    for texts, most in ((far, _FAR_MADS), (some, _MADS)):
        if texts:
            what = counted(len(texts), "column has", "columns have")
            what += f" numbers more than {most:.0f} median deviations from the median"
            is_far = texts is far
            found.append(finding("warning" if is_far else "note", "outliers", what, texts, remedy if is_far else ""))
    return found


def unnormalized(
    names: Sequence[str], mean: NDArray[np.float64], std: NDArray[np.float64], remedy: str
) -> list[Finding]:
    """Findings for features whose mean is far from 0 or whose deviation is far from 1 at the network's input.

    mean, std  (F,) after all preprocessing; a deviation of 0 is a constant feature, another finding
    """
    off = (std > 0) & ((np.abs(mean) > _OFF) | (std < _NARROW) | (std > _WIDE))
    if not off.any():
        return []
    where = [f"{names[n]}: mean {mean[n]:.3g}, deviation {std[n]:.3g}" for n in np.flatnonzero(off).tolist()]
    what = f"{counted(len(where), 'input feature is', 'input features are')} far from mean 0 and deviation 1"
    return [finding("warning", "not normalized", what, where, remedy)]


def missing_cells(found: Mapping[str, tuple[int, Sequence[str]]], total: int, declared: Declared) -> list[Finding]:
    """Findings for columns with missing cells.

    found  name of a column -> (number of missing cells, names of the first rows)
    total  number of rows
    """
    mostly = [name for name, (count, _) in found.items() if count > _MOSTLY * total]
    findings = []
    for names in (mostly, [name for name in found if name not in mostly]):
        where = [
            f"{name}: {found[name][0]:,} ({100 * found[name][0] / total:.1f} %), such as {found[name][1][0]}"
            for name in names
        ]
        if names is mostly and names:
            what = f"{counted(len(names), 'column has', 'columns have')} more missing cells than values"
            findings.append(dropped("warning", "missing", what, where, names, declared))
        elif names:
            what = (
                f"{counted(len(names), 'column has', 'columns have')} missing cells; missing numbers become the median"
            )
            findings.append(finding("note", "missing", what, where))
    return findings


def similar_labels(names: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Findings for classes and categories that differ only in case, blanks or Unicode form.

    names  column -> its labels
    """
    where = []
    for column, labels in names.items():
        spellings: dict[str, list[str]] = {}
        for label in labels:
            spellings.setdefault("".join(normalize("NFKC", label).casefold().split()), []).append(label)
        where += [f"{column}: {' = '.join(map(repr, some))}" for some in spellings.values() if len(some) > 1]
    if not where:
        return []
    what = f"{counted(len(where), 'label has', 'labels have')} several spellings that differ in case or blanks"
    return [finding("warning", "similar labels", what, where, "Use one spelling for each.")]


def _is_constant(cells: ColumnValues) -> bool:
    return len(set(cells)) <= 1 if isinstance(cells, list) else bool((cells == cells[0]).all())


def _in_order_of_appearance(cells: Sequence[str]) -> NDArray[np.int64]:
    """(N,) numbers of the categories in order of appearance: equal for columns that differ only in names."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(cell, len(numbers)) for cell in cells], dtype=np.int64)
