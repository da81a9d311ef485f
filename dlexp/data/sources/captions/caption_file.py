"""The data source `captions`: a table with the file of an image and a text in each row.

Symbols: N rows.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.images.decoding import ImageFiles, unreadable
from dlexp.data.images.image_set import ImageFormat, ImageSet
from dlexp.data.images.listing import QuickScan, quick_scan
from dlexp.data.images.placement import Placement, in_threads
from dlexp.data.sources.captions.texts import CaptionOptions, Captions, with_captions
from dlexp.data.splits.division import Division, RowKeys, SplitBy, divide
from dlexp.data.splitting import Rows
from dlexp.data.tables.features.problems import ColumnProblem, not_found, raise_all
from dlexp.data.tables.files.reading import read_table
from dlexp.data.tables.files.table_form import AUTO, FormSettings
from dlexp.data.tables.raw_table import RawTable
from dlexp.data.tables.several_files import read_files
from dlexp.data.tables.spelling import Marks
from dlexp.data.tables.split_columns import row_keys
from dlexp.data.texts.text_columns import text_columns, texts_of
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.quoting import listed, setting

__all__ = ["captions"]

FILES = ("captions.csv", "captions.tsv", "captions.jsonl", "captions.parquet")
_IMAGE_NAMES = ("image", "file_name", "filename", "file", "image_path", "path", "img")
_NAMED = 5  # rows named in an error


def captions(
    *,
    path: str,
    image: str = AUTO,
    text: str | Sequence[str] = AUTO,
    label: str | None = None,
    prompts: Sequence[str] = ("a photo of a {}",),
    unit: str = "word",
    vocabulary_size: int = 20_000,
    min_count: int = 1,
    lowercase: bool = True,
    max_length: int | str = AUTO,
    image_size: int = 64,
    resize: str = "crop",
    resize_to: int | None = None,
    channels: int | str = AUTO,
    in_memory: bool | str = AUTO,
    workers: int | str = AUTO,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    separator: str = AUTO,
    encoding: str = AUTO,
    sheet: str = AUTO,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
    group: str | None = None,
    split_column: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
) -> DataBundle:
    """Load images with a text each, from a table whose rows name files, relative to the table.

    Texts of one image are in one split. The vocabulary is learned from the training split alone.

    path   the table, or a folder that has one of FILES
    image  column of the files; auto: the only one of a usual name, such as image or file_name
    label  column of the classes that `prompts` are about, None for none; an image may have none
    Raises DataError for invalid data, ConfigError for settings that the data cannot have, ValueError as `ImageFormat`.
    """
    form = ImageFormat(channels, image_size, resize, resize_to)
    options = CaptionOptions(unit, vocabulary_size, min_count, lowercase, max_length, tuple(prompts))
    settings = FormSettings.of({"path": path, "separator": separator, "encoding": encoding, "sheet": sheet})
    table = read_files(
        [None if one is None else str(_table_in(one)) for one in (path, val_path, test_path)],
        lambda file: read_table(file, settings, Marks([]), (), {})[0],
    )
    by = SplitBy(group, None, split_column)
    files, texts, given, keys, used = _columns(table, (image, text, label), by)
    scans = _scanned(table, used, files)
    division = _division(table, given.images, keys, (val_fraction, test_fraction, split_seed), group)
    notes = (f"images: column {used!r}; texts: {listed(texts)}", *division.notes)
    found = _image_set(table, (files, scans), form, division.rows, notes)
    bundle = found.bundle(Placement(in_memory, workers), (mean, std), (augment, pad))
    return replace(with_captions(bundle, given, options), named=table.named(), target=texts[0])


def _image_set(
    table: RawTable,
    given: tuple[Sequence[str], Sequence[QuickScan]],
    form: ImageFormat,
    rows: tuple[Rows, Rows, Rows],
    notes: tuple[str, ...],
) -> ImageSet:
    """The images of all rows, from their files and the scans of different files."""
    files, scans = given
    is_gray = all(scan.is_gray for scan in scans) if form.channels == AUTO else form.channels == 1
    names = np.array([os.fsencode(name) for name in files])
    reader = ImageFiles(table.file.parent, names, 1 if is_gray else 3, form.stored, form.resize)
    digest = hashlib.sha256(b"".join(scan.digest for scan in scans) + b"\0".join(names.tolist())).hexdigest()
    return ImageSet(reader, None, (), rows, digest, form.preprocessing(), notes, form.image_size)


def _table_in(path: str) -> Path:
    """The table, which may be in a folder. Raises DataError where the folder has none."""
    place = Path(path)
    if not place.is_dir():
        return place
    for name in FILES:
        if (place / name).is_file():
            return place / name
    rule = f"the folder has no {', '.join(FILES[:-1])} or {FILES[-1]}"
    remedy = f"Write {FILES[0]} with the header image,text and a row for each pair, or set data.path=TABLE"
    raise DataError(rule, file=place, remedy=remedy, code="not-found")


def _columns(
    table: RawTable, wanted: tuple[str, str | Sequence[str], str | None], by: SplitBy
) -> tuple[list[str], list[str], Captions, RowKeys, str]:
    """Files, names of the columns of texts, the captions, what divides them, and the name of the column of files.

    Raises DataError for an unknown column, one that cannot be told, and an empty cell.
    """
    image, text, label = wanted
    problems: list[ColumnProblem] = []
    named = {"data.image": image if image != AUTO else None, "data.label": label}
    for key, name in named.items():
        if name is not None and (error := not_found(table.file, table.names, [name], name, key=key)):
            problems.append(ColumnProblem(error, name))
    keys = row_keys(table, by, [], {}, problems)
    raise_all(problems, table.file, {})
    used = _image_column(table) if image == AUTO else image
    others = [name for name in (used, label, *by.names) if name is not None]
    texts = text_columns(table.file, table.raw, text, others, table.names)
    files, said = texts_of([table.raw[used]]), texts_of([table.raw[name] for name in texts])
    _refuse_empty(table, {used: files, texts[0]: said})
    _, numbers = np.unique(np.array(files), return_inverse=True)
    labels, names = np.full(len(files), -1, dtype=np.int64), tuple[str, ...]()
    if label is not None:
        found = table.labels_of(label)
        labels, names = found.codes, found.names
    return files, texts, Captions(said, numbers.astype(np.int64), labels, names), keys, used


def _image_column(table: RawTable) -> str:
    """The only column with a usual name of files."""
    usual = [name for name in table.names if name.lower() in _IMAGE_NAMES]
    if len(usual) == 1:
        return usual[0]
    what = f"several columns may name the files: {listed(usual)}" if usual else f"no column is called {_IMAGE_NAMES[0]}"
    rule = what if usual else f"{what}, {', '.join(_IMAGE_NAMES[1:])}; its columns are {listed(table.names)}"
    remedy = f"Name it: {setting('data.image', (usual or list(table.names))[0])}"
    raise DataError(rule, file=table.file, remedy=remedy, code="missing-value")


def _refuse_empty(table: RawTable, columns: dict[str, list[str]]) -> None:
    for name, cells in columns.items():
        empty = [row for row, cell in enumerate(cells) if not cell.strip()]
        if empty:
            more = f", and {counted(len(empty) - 1, 'more')}" if len(empty) > 1 else ""
            remedy = f"Fill in the cell or delete the {table.unit}"
            raise table.refusal(f"the cell is empty{more}", name, empty[0], remedy)


def _scanned(table: RawTable, column: str, files: Sequence[str]) -> list[QuickScan]:
    """Each different file. Raises DataError with the rows of files that do not exist, and for unreadable ones."""
    root = table.file.parent
    absent = [row for row, name in enumerate(files) if not (root / name).is_file()]
    if absent:
        lines = ", ".join(str(table.lines[row]) for row in absent[:_NAMED]) + (", ..." if len(absent) > _NAMED else "")
        rule = f"the file {files[absent[0]]!r} does not exist" + (
            f"; {len(absent):,} files do not ({table.unit}s {lines})" if len(absent) > 1 else ""
        )
        remedy = f"Write paths relative to {root}, or delete the {table.unit}s"
        raise table.refusal(rule, column, absent[0], remedy, "not-found")
    names = list(dict.fromkeys(files))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about odd metadata and very large images, both readable
        scans = list(in_threads(lambda name: quick_scan(root, os.fsencode(name)), names))
    failures = [(name, scan.problem) for name, scan in zip(names, scans, strict=True) if scan.problem]
    if failures:
        error = unreadable(root, sorted(failures))
        raise DataError(error.rule, file=error.file, remedy="Replace them, or delete their rows", code=error.code)
    return scans


def _division(
    table: RawTable, images: NDArray[np.int64], keys: RowKeys, how: tuple[float, float, int], group: str | None
) -> Division:
    """The division, with the texts of an image in one split. Raises DataError where the data say otherwise."""
    is_repeated = len(np.unique(images)) < len(images)
    if is_repeated and keys.is_empty:
        keys = replace(keys, groups=images, group_names=tuple(map(str, range(int(images.max()) + 1))))
    try:
        division = divide(len(images), how, None, (), keys)
    except DataError as error:
        raise DataError(error.rule, file=table.file, remedy=error.remedy, code=error.code) from error
    if is_repeated and not _is_apart(images, division.rows):
        rule = "an image is in two splits, with one text in each"
        remedy = "Write one split for all texts of an image" if group is None else "Remove data.group"
        raise DataError(rule, file=table.file, remedy=remedy, code="invalid-data")
    if group is None and keys.groups is not None:
        notes = tuple(note.replace("split by group", "split by image") for note in division.notes)
        return Division(division.rows, notes)
    return division


def _is_apart(images: NDArray[np.int64], rows: tuple[Rows, Rows, Rows]) -> bool:
    return sum(len(np.unique(images[part])) for part in rows) == len(np.unique(images[np.concatenate(rows)]))
