"""The data source `dataframe`: a pandas DataFrame handed over in Python, read like a CSV file, with its own types."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dlexp.data.bundle import DataBundle
from dlexp.data.memory.frame_columns import categorical_columns, frame_column_names, frame_columns
from dlexp.data.memory.handed_over import PLACE, handed_over
from dlexp.data.splits.division import SplitBy
from dlexp.data.tables.features.problems import check_names, raise_all
from dlexp.data.tables.features.target_columns import names_of, targets_kind
from dlexp.data.tables.files.table_form import AUTO, FRAME_FORM, TableForm
from dlexp.data.tables.number_columns import with_styles
from dlexp.data.tables.raw_table import RawTable, TableOptions, dropped_of, table_of
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError
from dlexp.kinds import NO_TARGETS

__all__ = ["dataframe", "target_kind"]


def dataframe(
    *,
    target: str | list[str] | None = None,
    target_kind: str = "auto",
    columns: dict[str, str] | None = None,
    missing_values: list[str] | None = None,
    max_categories: int = 50,
    rare: str = "other",
    standardize: bool = True,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """Load the DataFrame that was handed over; see `dlexp.data.tables.raw_table.table_of`.

    The index is no column. Columns of the type `category` are categories, whatever they hold. Messages count rows from
    0, as `frame.iloc` does. Raises DataError for invalid data, ConfigError if no DataFrame was handed over.
    """
    frame = given_frame()
    targets, declared, by = names_of(target), columns or {}, SplitBy(group, time, split_column)
    without = dropped_of(declared, [*targets, *by.names])
    table, form = frame_table(frame, missing_values or [], declared, without=without)
    typed = dict.fromkeys(
        (name for name in categorical_columns(frame) if name not in {*targets, *without, *by.names}), "category"
    )
    kind = kind_of_targets(frame, targets, target_kind)
    split = (val_fraction, test_fraction, split_seed)
    options = TableOptions(
        targets, kind, {**typed, **declared}, max_categories, rare, standardize, split, by, anomalies
    )
    bundle = table_of(table, options)
    notes = [*index_notes(frame), *([note] if (note := form.note()) else [])]
    return replace(bundle, preprocessing={**bundle.preprocessing, "form": form.plain()}, notes=(*notes, *bundle.notes))


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the columns that data.target names; `none` without any."""
    if arguments["target_kind"] != "auto" and arguments["target"] is not None:
        return str(arguments["target_kind"])
    frame, targets = given_frame(), names_of(arguments["target"])
    if not targets:
        return NO_TARGETS
    check_names(PLACE, frame_column_names(frame), targets)
    if kind_of_targets(frame, targets, "auto") == "class":
        return "class"
    table, _ = frame_table(frame, arguments["missing_values"], {}, only=targets)
    return targets_kind({name: (table.raw[name], partial(table.refusal, column=name)) for name in targets}, PLACE)


def given_frame() -> pd.DataFrame:
    """The DataFrame that was handed over. Raises ConfigError if none was, or arrays were."""
    found = handed_over("a DataFrame", "dataframe", "data=csv or data=parquet")
    if not isinstance(found, pd.DataFrame):
        rule = f"reads a pandas DataFrame, got {type(found).__name__}"
        raise ConfigError.one("data", "dataframe", rule, "Pass data=frame.", code="invalid-type")
    return found


def kind_of_targets(frame: pd.DataFrame, targets: Sequence[str], kind: str) -> str:
    """`kind`, or class for a target of the type `category`, whose numbers are names."""
    return "class" if kind == "auto" and set(targets) & set(categorical_columns(frame)) else kind


def frame_table(
    frame: pd.DataFrame,
    missing_values: Sequence[str],
    declared: Mapping[str, str],
    without: Collection[str] = (),
    only: Sequence[str] | None = None,
) -> tuple[RawTable, TableForm]:
    """The raw table with all columns except `without`, or with these only; rows count from 0; and its form."""
    names = frame_column_names(frame)
    if not len(frame):
        raise DataError("has no rows", file=PLACE, code="too-few-samples")
    wanted = [name for name in names if name not in without] if only is None else only
    marks = Marks(missing_values)
    lines = np.arange(len(frame), dtype=np.int64)
    table = RawTable(PLACE, frame_columns(frame, wanted, marks), lines, tuple(names), marks, unit="row")
    styled, styles, problems = with_styles(table.raw, FRAME_FORM.decimal, AUTO, AUTO, table.refusal)
    raise_all(problems, PLACE, declared)
    return replace(table, raw=styled), replace(FRAME_FORM, styles=styles)


def index_notes(frame: pd.DataFrame) -> list[str]:
    """A message about an index with a name, which may be meant as a column."""
    names = [str(name) for name in frame.index.names if name is not None]
    if not names:
        return []
    return [f"the index {', '.join(map(repr, names))} is not read. To read it, pass data=frame.reset_index()"]
