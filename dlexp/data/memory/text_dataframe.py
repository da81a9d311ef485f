"""The data source `text_dataframe`: texts of a pandas DataFrame that was handed over in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.memory import dataframe
from dlexp.data.memory.dataframe import frame_table, given_frame, index_notes, kind_of_targets
from dlexp.data.splits.division import SplitBy
from dlexp.data.tables.features.target_columns import names_of
from dlexp.data.texts.encoding import TextOptions
from dlexp.data.texts.text_source import bundle_of_table

__all__ = ["target_kind", "text_dataframe"]


def text_dataframe(
    *,
    text: str | list[str] = "auto",
    target: str | list[str],
    target_kind: str = "auto",
    unit: str = "word",
    vocabulary_size: int = 20_000,
    min_count: int = 2,
    lowercase: bool = True,
    max_length: int | str = "auto",
    on_bad: str = "fail",
    bucket: bool = True,
    missing_values: list[str] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
) -> DataBundle:
    """The texts of the DataFrame that was handed over; the arguments are those of `data=text`.

    Messages count rows from 0, as `frame.iloc` does. Raises DataError for invalid data, ConfigError if no DataFrame was
    handed over.
    """
    frame, targets = given_frame(), names_of(target)
    options = TextOptions(unit, vocabulary_size, min_count, lowercase, max_length, on_bad, bucket)
    by = SplitBy(group, time, split_column)
    wanted = None if text == "auto" else list(dict.fromkeys([*names_of(text), *targets, *by.names]))
    known = [str(name).strip() for name in frame.columns]
    read = None if wanted is None else [name for name in known if name in wanted]
    table = frame_table(frame, missing_values or [], {}, only=read)
    kind = kind_of_targets(frame, targets, target_kind)
    bundle = bundle_of_table(table, (text, targets, kind), ((val_fraction, test_fraction, split_seed), by), options)
    return replace(bundle, notes=(*index_notes(frame), *bundle.notes))


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: as of a DataFrame of a table."""
    return dataframe.target_kind(arguments)
