"""Rows of a table of texts without a target: refused, or left out and told.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dlexp.data.tables.features.problems import ColumnProblem
from dlexp.data.tables.raw_table import RawTable
from dlexp.errors import DataError
from dlexp.findings import counted, listed_places

_MISSING = "the target is missing"
WAY_OUT = "leave out what has no target: data.on_bad=skip"


def with_targets(table: RawTable, targets: Sequence[str], on_bad: str) -> tuple[RawTable, tuple[str, ...]]:
    """(the rows that have all targets, the places of the others); all rows unless `on_bad` is skip.

    Raises DataError where no row is left.
    """
    if on_bad != "skip":
        return table, ()
    missing = np.zeros(len(table.lines), dtype=np.bool_)
    for name in targets:
        if name in table.raw:
            cells = table.raw[name].cells()
            missing |= (cells == None) if cells.dtype == object else np.isnan(cells)  # noqa: E711 - each cell
    if not missing.any():
        return table, ()
    if missing.all():
        raise table.refusal("every target is missing", targets[0], code="too-few-samples")
    kept = np.flatnonzero(~missing)
    several, begin = [], 0
    for part, file, count in table.several:
        several.append((part, file, int((~missing[begin : begin + count]).sum())))
        begin += count
    places = tuple(f"{place} (no target)" for place in table.named()(np.flatnonzero(missing)))
    raw = {name: column.select(kept) for name, column in table.raw.items()}
    return replace(table, raw=raw, lines=table.lines[kept], several=tuple(several)), places


def left_without_target(places: Sequence[str]) -> str:
    """The note on rows that were left out."""
    return f"{counted(len(places), 'row')} left out: {listed_places(places)}"


def with_way_out(problem: ColumnProblem) -> ColumnProblem:
    """The problem of a missing target, with the setting that leaves such rows out; any other as it is."""
    error = problem.error
    if not error.rule.startswith(_MISSING):
        return problem
    remedy = f"{error.remedy.rstrip('.')}, or {WAY_OUT}"
    found = DataError(
        error.rule, file=error.file, column=error.column, row=error.row, remedy=remedy, unit=error.unit, code=error.code
    )
    return replace(problem, error=found)
