"""A folder of text files for each class as texts.

Symbols: N files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlexp.artifacts.files.reading import NO_LIMIT, NotReadableError, open_regular
from dlexp.data.bundle import DataBundle
from dlexp.data.images.decoding import printable_name
from dlexp.data.images.file_groups import keys_of_files
from dlexp.data.images.listing import FileKind, Listing
from dlexp.data.images.several_folders import list_folders
from dlexp.data.splits.division import divide
from dlexp.data.splitting import Rows, Shares
from dlexp.data.tables.files.table_form import AUTO
from dlexp.data.tables.files.text_form import text_in
from dlexp.data.texts.encoding import LabeledTexts, TextOptions, build_texts
from dlexp.data.texts.missing_text import BadText, kept_texts
from dlexp.errors import DataError, reason_of
from dlexp.findings import counted

TEXTS = FileKind((".txt", ".text", ".md"), "text files")
_NAMED = 20  # files listed in a note; meta.json lists all


def folder_bundle(
    paths: Sequence[str | None], how: Shares, group: str | None, encoding: str, options: TextOptions
) -> DataBundle:
    """The bundle of the text files in the folders of `paths`: train, or all, then val and test, None for no folder.

    Raises DataError for invalid data, with the file.
    """
    root = Path(str(paths[0]))
    listing = list_folders(paths, TEXTS)
    names = [os.fsdecode(bytes(name)) for name in listing.names]
    texts = [text_of_file(root / name, encoding) for name in names]
    bad = BadText(root, _Refusal(root, names), _Named(names))
    kept, empty, notes = kept_texts(texts, bad, options.on_bad)
    some = listing.only(kept)
    keys = keys_of_files(some, group, root)
    try:
        division = divide(len(kept), how, some.labels, some.classes, keys)
    except DataError as error:
        raise DataError(error.rule, file=root, remedy=error.remedy, code=error.code) from error
    others = tuple(printable_name(name) for name in (*listing.others, *listing.loose))
    given = LabeledTexts(
        texts,
        listing.labels,
        listing.classes,
        (),
        bad,
        (*_other_files(listing), *division.notes, *notes),
        others,
        empty,
        {"source": "files", "text": []},
    )
    rows: tuple[Rows, Rows, Rows] = (kept[division.rows[0]], kept[division.rows[1]], kept[division.rows[2]])
    return build_texts(given, rows, options)


def text_of_file(path: Path, encoding: str = AUTO) -> str:
    """The text of a file, without white space around it.

    encoding  of the file, auto: detected
    Raises DataError for a file that cannot be read, or is no text.
    """
    try:
        with open_regular(path, NO_LIMIT) as file:
            content = file.read()
    except NotReadableError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path, code="system-error") from error
    except FileNotFoundError:
        raise DataError("file not found", file=path, code="not-found") from None
    except OSError as error:
        raise DataError(f"cannot be read: {reason_of(error)}", file=path, code="system-error") from error
    return text_in(content, path, encoding).strip()


class _Refusal:
    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root, self._names = root, names

    def __call__(self, message: str, number: int, remedy: str) -> DataError:
        return DataError(message, file=self._root / self._names[number], remedy=remedy)


class _Named:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, rows: NDArray[np.int64]) -> list[str]:
        return [printable_name(self._names[row]) for row in rows.tolist()]


def _other_files(listing: Listing) -> list[str]:
    """Messages about files that are no texts of a class."""
    found = []
    for names, what in ((listing.others, "of other types"), (listing.loose, "outside of the class folders")):
        if names:
            more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            listed = ", ".join(map(printable_name, names[:_NAMED]))
            found.append(f"{counted(len(names), 'file')} {what} left out: {listed}{more}")
    return found
