"""The data source `pairs`: texts and what they become, such as sentences and their translations, in a table file.

Symbols: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.pairs.bundle import Pairs, bundle_of_pairs
from dlexp.data.splits.division import RowKeys, SplitBy, divide
from dlexp.data.splitting import Rows
from dlexp.data.tables.features.problems import ColumnProblem, not_found, raise_all
from dlexp.data.tables.features.target_columns import names_of
from dlexp.data.tables.files.reading import read_table
from dlexp.data.tables.files.table_form import AUTO, FormSettings, TableForm
from dlexp.data.tables.raw_table import RawTable
from dlexp.data.tables.several_files import read_files
from dlexp.data.tables.spelling import Marks
from dlexp.data.tables.split_columns import row_keys
from dlexp.errors import ConfigError, DataError
from dlexp.findings import counted
from dlexp.text.quoting import listed
from dlexp.text.vocabulary import Vocabulary, learn_vocabulary

__all__ = ["pairs"]

_NAMED = 5  # empty rows named in an error
_INSTALL = "Install it: pip install 'dlexp[text]'"


@dataclass(frozen=True)
class _Texts:
    """How texts become tokens; the keys of data.* of the same names."""

    unit: str
    target_unit: str
    vocabulary_size: int
    min_count: int
    lowercase: bool

    def learned(self, texts: Sequence[str], unit: str) -> Vocabulary:
        """The vocabulary of training texts. Raises ConfigError where a package is missing."""
        try:
            return learn_vocabulary(texts, unit, self.vocabulary_size, self.min_count, self.lowercase)
        except ImportError as error:
            rule = "requires the package tokenizers, which is not installed"
            raise ConfigError.one("data.unit", unit, rule, _INSTALL, code="missing-package") from error
        except ValueError as error:
            raise ConfigError.one(
                "data.vocabulary_size", self.vocabulary_size, str(error), code="out-of-range"
            ) from error

    def encoded(self, texts: Sequence[Sequence[str]], kept: Rows, train: Rows) -> Pairs:
        """The pairs as ids, by vocabularies of the rows `train`; `kept` are the rows with two texts."""
        known, learned = (
            self.learned([side[row] for row in train.tolist()], unit)
            for side, unit in zip(texts, (self.unit, self.target_unit), strict=True)
        )
        sources, targets = texts
        pairs = [(sources[row], targets[row]) for row in kept.tolist()]
        return Pairs([*map(known.encode, sources)], [*map(learned.encode, targets)], known, learned, pairs)


def pairs(
    *,
    path: str,
    source: str | None = None,
    target: str | Sequence[str] | None = None,
    unit: str = "word",
    target_unit: str | None = None,
    vocabulary_size: int = 20_000,
    min_count: int = 1,
    lowercase: bool = False,
    max_length: int | str = AUTO,
    target_max_length: int | str = AUTO,
    on_bad: str = "fail",
    separator: str = AUTO,
    encoding: str = AUTO,
    sheet: str = AUTO,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
) -> DataBundle:
    """Load the pairs in `path`, a table of any format with a header, one pair in a row.

    The vocabularies are learned from the training split alone. Empty texts are an error, or left out with
    `on_bad=skip`; pairs longer than `max_length` or `target_max_length` tokens are left out; a note counts both.
    Raises DataError for invalid data, ConfigError if a package is missing.
    """
    split_by = SplitBy(group, time, split_column)
    form_keys = {"path": path, "separator": separator, "encoding": encoding, "sheet": sheet}
    table, form = _read((path, val_path, test_path), FormSettings.of(form_keys))
    problems: list[ColumnProblem] = []
    columns = _columns(table, (source, _only(target)), split_by, problems)
    keys = row_keys(table, split_by, columns, {}, problems)
    raise_all(problems, table.file, {})
    texts = [_cells(table, name) for name in columns]
    kept, notes = _present(table, columns, texts, on_bad)
    division = divide(len(kept), (val_fraction, test_fraction, split_seed), None, (), _of_rows(keys, kept))
    rows = _renumbered(division.rows, kept)
    how = _Texts(unit, target_unit or unit, vocabulary_size, min_count, lowercase)
    found = how.encoded(texts, kept, rows[0])
    limits = [None if one == AUTO else int(one) for one in (max_length, target_max_length)]
    rows, more = _short_enough(table, rows, (found.sources, found.targets), limits)
    first = form.note()
    notes = [*([first] if first else ()), *notes, *division.notes, *more, _said(columns, found, rows)]
    bundle = bundle_of_pairs(
        found,
        rows,
        (limits[0] or 0, 0 if limits[1] is None else limits[1] + 1),
        tuple(notes),
        {"text": [columns[0]], "target": columns[1], "form": form.plain()},
        table.named(),
    )
    return replace(bundle, target=columns[1])


def _only(target: str | Sequence[str] | None) -> str | None:
    """The one column that data.target names. Raises ConfigError for several."""
    names = [] if target is None else names_of(target)
    if len(names) > 1:
        rule = "must name one column: a source has one target"
        raise ConfigError.one(
            "data.target", ", ".join(names), rule, f"Set data.target={names[0]}", code="invalid-value"
        )
    return names[0] if names else None


def _read(paths: Sequence[str | None], settings: FormSettings) -> tuple[RawTable, TableForm]:
    """The table of the files of train, val and test, and the form of the first."""
    forms: list[TableForm] = []

    def read(file: Path) -> RawTable:
        table, form = read_table(file, settings, Marks([]), (), {})
        forms.append(form)
        return table

    table = read_files(paths, read)
    return table, forms[0]


def _columns(
    table: RawTable, wanted: tuple[str | None, str | None], by: SplitBy, problems: list[ColumnProblem]
) -> list[str]:
    """Names of the columns of sources and of targets: those of the keys, or the only two in their order.

    Raises DataError for a file from whose columns they cannot be told; unknown names are added to `problems`.
    """
    others = [name for name in table.names if name not in by.names and name not in wanted]
    named = {key: name for key, name in zip(("source", "target"), wanted, strict=True) if name is not None}
    for key, name in named.items():
        free = [column for column in table.names if column not in named.values()]
        error = None if name in table.names else not_found(table.file, free, [name], name, key=f"data.{key}")
        if error is not None:
            problems.append(ColumnProblem(error, name))
    lacking = [key for key in ("source", "target") if key not in named]
    if lacking and len(others) != len(lacking) and not problems:
        rule = (
            f"has {counted(len(others), 'column')} for {' and '.join(lacking)}: {listed(others)}"
            if others
            else (f"has no column for {' and '.join(lacking)}")
        )
        remedy = f"Set {' and '.join(f'data.{key}=COLUMN' for key in lacking)}"
        if len(table.names) < 2:
            remedy = "Write both texts of a pair in one row, in two columns with a header, or set data.separator"
        raise DataError(rule, file=table.file, remedy=remedy)
    found = {**dict(zip(lacking, others, strict=False)), **named}
    if named.get("source") is not None and named.get("source") == named.get("target"):
        rule = "is both data.source and data.target"
        raise DataError(rule, file=table.file, column=named["source"], remedy="Name two columns.")
    return [found.get("source", ""), found.get("target", "")]


def _cells(table: RawTable, name: str) -> list[str]:
    """The text of each row as it is written in the file, "" for an empty cell."""
    spelled = table.raw[name].spelled
    texts = [*(spelled.written or spelled.distinct), ""]
    return [texts[code] for code in spelled.codes.tolist()]


def _present(
    table: RawTable, columns: Sequence[str], texts: Sequence[Sequence[str]], on_bad: str
) -> tuple[NDArray[np.int64], list[str]]:
    """The rows with two texts, and a note about the others. Raises DataError for others with `on_bad=fail`."""
    empty = [[row for row, text in enumerate(side) if not text.strip()] for side in texts]
    bad = sorted({row for side in empty for row in side})
    notes = []
    if bad:
        column = columns[0] if bad[0] in set(empty[0]) else columns[1]
        rows = ", ".join(str(table.lines[row]) for row in bad[:_NAMED]) + (", ..." if len(bad) > _NAMED else "")
        if on_bad == "fail":
            rule = (
                f"the text is empty; {counted(len(bad), 'row has', 'rows have')} an empty text ({table.unit}s {rows})"
            )
            remedy = "Write it, or leave these rows out with data.on_bad=skip"
            raise table.refusal(rule if len(bad) > 1 else "the text is empty", column, bad[0], remedy)
        notes = [f"left out {counted(len(bad), 'row')} with an empty text ({table.unit}s {rows})"]
    kept = np.setdiff1d(np.arange(len(texts[0])), np.array(bad, dtype=np.int64)).astype(np.int64)
    return kept, notes


def _of_rows(keys: RowKeys, rows: NDArray[np.int64]) -> RowKeys:
    """What divides some of the rows."""
    groups = None if keys.groups is None else keys.groups[rows]
    times = None if keys.times is None else keys.times[rows]
    parts = None if keys.parts is None else keys.parts[rows]
    return RowKeys(groups, keys.group_names, times, parts)


def _renumbered(parts: tuple[Rows, Rows, Rows], rows: NDArray[np.int64]) -> tuple[Rows, Rows, Rows]:
    train, val, test = (rows[part] for part in parts)
    return train, val, test


def _short_enough(
    table: RawTable,
    parts: tuple[Rows, Rows, Rows],
    ids: Sequence[Sequence[Sequence[int]]],
    limits: Sequence[int | None],
) -> tuple[tuple[Rows, Rows, Rows], list[str]]:
    """The rows of each split that are not too long, and a note about the others.

    Raises DataError where a split has none.
    """
    if limits[0] is None and limits[1] is None:
        return parts, []
    fits = [
        np.array([limit is None or len(one) <= limit for one in side], dtype=np.bool_)
        for side, limit in zip(ids, limits, strict=True)
    ]
    fit = fits[0] & fits[1]
    kept = tuple(part[fit[part]] for part in parts)
    keys = {"data.max_length": limits[0], "data.target_max_length": limits[1]}
    said = " or ".join(f"{key}={limit}" for key, limit in keys.items() if limit is not None)
    for name, part in zip(("train", "val", "test"), kept, strict=True):
        if not len(part):
            rule = f"no pair of the {name} split is as short as {said} tokens"
            raise DataError(rule, file=table.file, remedy=f"Raise {said.partition('=')[0]}", code="too-few-samples")
    left_out = sum(map(len, parts)) - sum(map(len, kept))
    notes = [f"left out {left_out:,} of {counted(sum(map(len, parts)), 'pair')}, longer than {said} tokens"]
    return (kept[0], kept[1], kept[2]), notes if left_out else []


def _said(columns: Sequence[str], found: Pairs, rows: tuple[Rows, Rows, Rows]) -> str:
    """What is read of which column: units, sizes of the vocabularies, lengths, and what is unknown in val and test."""
    parts = []
    known = (found.source_vocabulary, found.target_vocabulary)
    for column, one, ids in zip(columns, known, (found.sources, found.targets), strict=True):
        used = [ids[row] for part in rows for row in part.tolist()]
        held = [token for part in rows[1:] for row in part.tolist() for token in ids[row]]
        unknown = sum(token == one.unknown for token in held) / max(1, len(held))
        share = f", {100 * unknown:.1f} % of val and test unknown" if unknown else ""
        longest = max(map(len, used), default=0)
        parts.append(f"{column!r}: {len(one):,} {one.unit}s, at most {longest} in a text{share}")
    return f"source {parts[0]}; target {parts[1]}"
