"""Detection of the form of a file. Imports no torch."""

from __future__ import annotations

import codecs
from dataclasses import replace
from typing import IO

from dlexp.data.tables.files.json_lines import json_kind
from dlexp.data.tables.files.opening import HEAD_BYTES, STDIN, OpenFile
from dlexp.data.tables.files.table_form import AUTO, FormSettings, TableForm
from dlexp.data.tables.files.text_encodings import of_bytes_beyond_ascii
from dlexp.data.tables.files.text_form import encoding_of, has_utf_8_letters, with_separator
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

_PIECE = 1 << 20  # bytes read at a time


def form_of(
    path: str, file: OpenFile, settings: FormSettings, marks: Marks, expected: TableForm | None = None
) -> TableForm:
    """The form of an open file. Raises DataError for a text that may have two."""
    if file.format != "text":
        return TableForm(file.format, file.compression)
    is_whole = len(file.head) < HEAD_BYTES
    encoding = settings.encoding if settings.encoding != AUTO else _encoding(path, file, is_whole)
    form = TableForm(compression=file.compression, encoding=encoding)
    text = file.head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    if kind := json_kind(text, path):
        return replace(form, format=kind)
    return with_separator(path, text, form, settings, marks, is_whole, expected)


def _encoding(path: str, file: OpenFile, is_whole: bool) -> str:
    """The encoding of all of a file, of standard input by its beginning. Raises DataError for a mixture."""
    found = encoding_of(file.head, is_whole)
    if found == "utf-8" and not is_whole and path != STDIN and file.stream.seekable():
        found = _of_rest(file.stream)
        file.stream.seek(0)
    if found == "binary":
        rule = "is neither text nor a table of a known format (Parquet, Feather, a workbook)"
        raise DataError(rule, file=path, remedy="Save it as CSV, or set data.encoding to the encoding of its text.")
    if not found:
        rule = "must have one encoding: some letters are UTF-8, and others are not"
        remedy = "Set data.encoding=cp1252, data.encoding=utf-8, or save it again as UTF-8."
        raise DataError(rule, file=path, remedy=remedy)
    return found


def _of_rest(stream: IO[bytes]) -> str:
    """The encoding of a stream that begins as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    has_letters, is_valid, others = False, True, b""
    for piece in iter(lambda: stream.read(_PIECE), b""):
        if piece.isascii() and not decoder.getstate()[0]:
            continue
        has_letters = has_letters or has_utf_8_letters(piece)
        others = (others + piece)[:_PIECE]
        try:
            decoder.decode(piece)
        except UnicodeDecodeError:
            is_valid = False
            decoder.reset()
    if is_valid and not decoder.getstate()[0]:
        return "utf-8"
    return "" if has_letters else of_bytes_beyond_ascii(others)
