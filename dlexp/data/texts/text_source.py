"""The data source `text`: texts and their classes or values, in a table or in a folder of files for each class.

Symbols: N texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.paths import did_you_mean
from dlexp.data.splits.division import RowKeys, SplitBy
from dlexp.data.splitting import Rows, Shares
from dlexp.data.tables.column_names import column_names
from dlexp.data.tables.features.problems import ColumnProblem, not_found, raise_all
from dlexp.data.tables.features.target_columns import names_of, targets_kind, targets_of
from dlexp.data.tables.files.reading import read_table
from dlexp.data.tables.files.table_form import AUTO, FormSettings, TableForm
from dlexp.data.tables.raw_table import RawTable, divide_rows
from dlexp.data.tables.several_files import read_files
from dlexp.data.tables.spelling import Marks
from dlexp.data.tables.split_columns import row_keys
from dlexp.data.texts.encoding import LabeledTexts, TextOptions, build_texts
from dlexp.data.texts.missing_target import left_without_target, with_targets, with_way_out
from dlexp.data.texts.missing_text import BadText, kept_texts
from dlexp.data.texts.text_columns import text_columns, texts_of, unknown_column
from dlexp.data.texts.text_folder import folder_bundle
from dlexp.errors import ConfigError, DataError
from dlexp.text.quoting import listed, setting

__all__ = ["target_kind", "text"]

_NAMED = 20  # columns listed in a message


def text(
    *,
    path: str,
    text: str | list[str] = "auto",
    target: str | list[str] | None = None,
    target_kind: str = "auto",
    unit: str = "word",
    vocabulary_size: int = 20_000,
    min_count: int = 2,
    lowercase: bool = True,
    max_length: int | str = "auto",
    on_bad: str = "fail",
    bucket: bool = True,
    missing_values: list[str] | None = None,
    separator: str = AUTO,
    encoding: str = AUTO,
    sheet: str = AUTO,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
) -> DataBundle:
    """Load texts as token ids, with a vocabulary of the training split.

    path    a table of any format, or a folder with a folder of .txt files for each class
    text    the column of texts, or several, whose cells are joined; auto: the only one whose cells have several words
    target  the column to learn; of a folder the classes are its folders
    Raises DataError for invalid data, ConfigError for settings that the data cannot have.
    """
    options = TextOptions(unit, vocabulary_size, min_count, lowercase, max_length, on_bad, bucket)
    paths, how, by = (
        (path, val_path, test_path),
        (val_fraction, test_fraction, split_seed),
        SplitBy(group, time, split_column),
    )
    if Path(path).is_dir():
        _refuse_columns(path, {"target": target, "time": time, "split_column": split_column})
        return folder_bundle(paths, how, group, encoding, options)
    targets = _named_target(path, target, separator)
    settings = FormSettings.of({"path": path, "separator": separator, "encoding": encoding, "sheet": sheet})
    forms: list[TableForm] = []

    def read(file: Path) -> RawTable:
        names = column_names(file, separator)
        if names:
            _refuse_unknown(file, names, targets, text)
        drops = _unused(names, text, [*targets, *by.names])
        labels = targets if target_kind == "class" else []
        table, form = read_table(file, settings, Marks(missing_values or []), targets, drops, as_texts=labels)
        forms.append(form)
        return table

    table = read_files(paths, read)
    return bundle_of_table((table, forms[0]), (text, targets, target_kind), (how, by), options)


def bundle_of_table(
    read: tuple[RawTable, TableForm],
    what: tuple[str | Sequence[str], Sequence[str], str],
    split: tuple[Shares, SplitBy],
    options: TextOptions,
) -> DataBundle:
    """The bundle of the texts of a table.

    read   the table, and its form
    what   the columns of the texts or auto, those of the targets, and data.target_kind
    split  the shares of the splits, and the columns that divide the rows
    Raises DataError for invalid data.
    """
    (table, form), (text, targets, kind), (how, by) = read, what, split
    table, untold = with_targets(table, targets, options.on_bad)
    given, keys = _read(table, text, targets, kind, by)
    given = replace(given, facts={**given.facts, "form": form.plain()}, unusable=untold)
    if untold:
        given = replace(given, notes=(left_without_target(untold), *given.notes))
    if note := form.note():
        given = replace(given, notes=(note, *given.notes))
    return _divided(table, given, keys, (how, by, targets[0]), options)


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the column of the target; a folder has classes."""
    path = str(arguments["path"])
    if Path(path).is_dir():
        return "class"
    targets = _named_target(path, arguments["target"], arguments["separator"])
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    settings, marks = FormSettings.of(arguments), Marks(arguments["missing_values"])
    if names := column_names(Path(path), arguments["separator"]):
        _refuse_unknown(Path(path), names, targets, arguments.get("text", AUTO))
    table, _ = read_table(Path(path), settings, marks, targets, {}, targets_only=True)
    columns = {name: (column, partial(table.refusal, column=name)) for name, column in table.raw.items()}
    return targets_kind(columns, table.file)


def _named_target(path: str, target: str | Sequence[str] | None, separator: str) -> list[str]:
    """The columns to learn. Raises ConfigError where none is named, DataError without a file."""
    if not Path(path).exists():
        raise DataError("file not found", file=path, remedy=did_you_mean(Path(path)), code="not-found")
    if target:
        return names_of(target)
    columns = column_names(Path(path), separator)
    has = f". The columns of {path} are {listed(columns[:_NAMED])}" if columns else ""
    remedy = f"Add {setting('data.target', columns[-1])}" if columns else "Add data.target=..."
    raise ConfigError.one("data.target", "", f"required: the column to predict{has}", remedy, code="missing-value")


def _refuse_columns(path: str, given: Mapping[str, object]) -> None:
    """Raise ConfigError for keys that name a column, where the data is a folder."""
    for key, value in given.items():
        if value is not None:
            rule = f"names a column, and {path} is a folder, whose folders are the classes"
            raise ConfigError.one(f"data.{key}", str(value), rule, f"Remove data.{key}", code="cannot-combine")


def _unused(names: Sequence[str], text: str | Sequence[str], used: Sequence[str]) -> dict[str, str]:
    """The columns that are neither texts nor targets nor divide the rows, as data.columns drops them."""
    if text == "auto":
        return {}
    wanted = {*names_of(text), *used}
    return {name: "drop" for name in names if name not in wanted}


def _read(
    table: RawTable, text: str | Sequence[str], targets: Sequence[str], kind: str, by: SplitBy
) -> tuple[LabeledTexts, RowKeys]:
    """The texts of all rows, and what divides them. Raises DataError with the problems of all columns."""
    _refuse_unknown(table.file, table.names, targets, text)
    problems: list[ColumnProblem] = []
    notes = list(table.notes)
    learned = targets_of(table, targets, kind, problems, notes)
    problems = [with_way_out(problem) for problem in problems]
    keys = row_keys(table, by, targets, {}, problems)
    names: list[str] = []
    try:
        others = {*targets, *filter(None, (by.time, by.split_column))}  # equal texts may be groups
        names = text_columns(table.file, table.raw, text, others, table.names)
    except DataError as error:
        problems.append(ColumnProblem(error, error.column or "data.text"))
    raise_all(problems, table.file, {})
    assert learned is not None and learned[0] is not None
    texts = texts_of([table.raw[name] for name in names])
    bad = BadText(table.file, partial(_refusal, table, names[0]), table.named())
    unread = [name for name in table.names if name not in names]
    facts = {"source": "table", "text": names, "unread": unread}
    together = setting("data.group", names[0]) if len(names) == 1 and not by.names and not table.several else ""
    values = () if learned[1] else tuple(targets)
    return LabeledTexts(texts, learned[0], learned[1], values, bad, tuple(notes), facts=facts, together=together), keys


def _refuse_unknown(file: Path, there: Sequence[str], targets: Sequence[str], text: str | Sequence[str]) -> None:
    """Raise DataError for all columns of data.target and data.text that are not among `there`."""
    found = [(name, not_found(file, there, targets, name)) for name in targets]
    wanted = [] if text == AUTO else names_of(text)
    found += [(name, unknown_column(file, name, there)) for name in wanted if name not in there]
    problems = [ColumnProblem(error, name) for name, error in found if error is not None]
    raise_all(problems, file, {})


def _refusal(table: RawTable, column: str, message: str, row: int, remedy: str) -> DataError:
    return table.refusal(message, column, row, remedy)


def _divided(
    table: RawTable, given: LabeledTexts, keys: RowKeys, how: tuple[Shares, SplitBy, str], options: TextOptions
) -> DataBundle:
    """The bundle of the texts that are not empty."""
    kept, left_out, notes = kept_texts(list(given.texts), given.bad, options.on_bad)
    division = divide_rows(table, how, given.targets[kept], given.classes, _of_rows(keys, kept))
    rows: tuple[Rows, Rows, Rows] = (kept[division.rows[0]], kept[division.rows[1]], kept[division.rows[2]])
    table.free()
    left_out = (*given.unusable, *left_out)
    given = replace(given, notes=(*given.notes, *division.notes, *notes), unusable=left_out)
    return replace(build_texts(given, rows, options), target=how[2])


def _of_rows(keys: RowKeys, rows: NDArray[np.int64]) -> RowKeys:
    """What divides these rows."""
    groups = None if keys.groups is None else keys.groups[rows]
    times = None if keys.times is None else keys.times[rows]
    return RowKeys(groups, keys.group_names, times, None if keys.parts is None else keys.parts[rows])
