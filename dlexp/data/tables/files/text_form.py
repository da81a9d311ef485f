"""Detection of the form of a text: encoding, separator, lines before the header, decimal mark.

Everything is decided by the first bytes (`HEAD_BYTES`); a later byte that contradicts the encoding is found in reading.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO

from dlexp.data.tables.files.table_form import AUTO, SEPARATORS, FormSettings, TableForm, word_of
from dlexp.data.tables.files.text_encodings import of_bytes_beyond_ascii
from dlexp.data.tables.numerals import NumberReading, decimal_of, reading_of
from dlexp.data.tables.spelling import Marks, number_in
from dlexp.errors import DataError

_ROWS = 1000  # rows from which the separator and the decimal mark are detected
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_QUOTED_COMMA = re.compile(r'"[^"\r\n]*\d,\d')  # without it no cell of a file separated by commas has a comma
_OPEN_MARK = re.compile(r"\d,\d|\d\.\d{3}(?!\d)")  # without it every mark is a decimal point
_TITLES = 10  # lines above a header
_ALIKE = 0.9  # share of rows as long as the header
_FEWEST = 2  # rows below it
_GLUED = 0.5  # share of the rows that a separator must divide as it divides the header


def encoding_of(head: bytes, is_whole: bool) -> str:
    """The encoding of a text: its byte order mark, UTF-16 by its zeros, UTF-8 if valid, else another.

    is_whole  whether the text ends with `head`; otherwise a letter may be cut off
    Returns "" for bytes that are valid UTF-8 in one place and invalid in another, `binary` for no text at all.
    """
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    zeros = head[:4096].count(0)
    if zeros:
        odd, even = head[1:4096:2].count(0), head[:4096:2].count(0)
        if max(odd, even) > len(head[:4096]) // 4 and min(odd, even) <= max(odd, even) // 10:
            return "utf-16-le" if odd > even else "utf-16-be"
        return "binary"
    if head.isascii() or _is_utf_8(head, is_whole):
        return "utf-8"
    if has_utf_8_letters(head):
        return ""
    return of_bytes_beyond_ascii(head)


def text_in(content: bytes, file: Path | str, encoding: str = AUTO) -> str:
    """The text of a whole file, as it is.

    Args:
        content: Its bytes.
        file: Its name, for messages.
        encoding: auto: that of the bytes.

    Raises:
        DataError: The bytes are no text, or not in this encoding.
    """
    name = encoding_of(content, True) if encoding == AUTO else encoding
    if name in ("", "binary"):
        rule = "is not text" if name else "must have one encoding: some letters are UTF-8, and others are not"
        way_out = "Remove it, or save it as UTF-8." if name else "Set data.encoding=cp1252, or save it again as UTF-8."
        raise DataError(rule, file=file, remedy=way_out)
    try:
        return content.decode("utf-8-sig" if codecs.lookup(name).name == "utf-8" else name)
    except (UnicodeDecodeError, LookupError) as error:
        rule = f"cannot be read with data.encoding={name}: {error}"
        raise DataError(rule, file=file, remedy="Set data.encoding=auto.", code="invalid-value") from error


def has_utf_8_letters(content: bytes) -> bool:
    """Return whether letters beyond ASCII are valid UTF-8, which hardly occur by chance in another encoding."""
    text = content.decode("utf-8", "surrogateescape")
    return any(letter > "\x7f" and not "\udc80" <= letter <= "\udcff" for letter in text)


def _is_utf_8(head: bytes, is_whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, is_whole)
    except UnicodeDecodeError:
        return False
    return True


def csv_rows(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """A csv reader of lines, with `line_num`; a blank as separator stands for any blanks."""
    if separator == " ":
        return csv.reader((_without_blanks(line) for line in lines), delimiter=" ", skipinitialspace=True)
    return csv.reader(lines, delimiter=separator)


def _without_blanks(line: str) -> str:
    text = line.rstrip("\r\n")
    return text.replace("\t", " ").strip(" ") + line[len(text) :]


def with_separator(
    path: str,
    text: str,
    form: TableForm,
    settings: FormSettings,
    marks: Marks,
    is_whole: bool,
    expected: TableForm | None = None,
) -> TableForm:
    """`form` with separator, skipped lines and decimal mark of the beginning of a text.

    expected  the form of the training file, which decides where the text may have either
    Raises DataError for a separator or decimal mark that remains open.
    """
    lines = text.splitlines(keepends=True)
    lines = lines if is_whole or len(lines) < 2 else lines[:-1]
    skipped, declared = _preamble(lines)
    skipped += title_lines(lines[skipped : skipped + _ROWS], settings.separator if declared == "" else declared)
    lines = lines[skipped : skipped + _ROWS]
    separator = settings.separator if settings.separator != AUTO else declared
    if not separator:
        separator = _separator(path, lines, expected.separator if expected else "")
    rows = _read(lines, separator)
    is_longer = len(rows) > 1 and all(len(row) == len(rows[0]) + 1 for row in rows[1:])
    has_last = any(row[-1].strip() for row in rows[1:])
    found = replace(
        form,
        separator=separator,
        skipped=skipped,
        row_names=is_longer and has_last,
        trailing=is_longer and not has_last,
    )
    try:
        return replace(found, decimal=_decimal(path, "".join(lines), rows, found, settings, marks))
    except DataError:
        if expected is None:
            raise
        return replace(found, decimal=expected.decimal)


def header_of(cells: list[str], form: TableForm) -> list[str]:
    """The cells of a header, with those that it lacks."""
    return [""] * form.row_names + cells + [""] * form.trailing


@contextmanager
def decoded_text(stream: IO[bytes], encoding: str, errors: str = "strict") -> Iterator[IO[str]]:
    """The text of a stream, without a byte order mark; the stream stays open."""
    name = "utf-8-sig" if codecs.lookup(encoding).name in ("utf-8", "ascii") else encoding
    text = io.TextIOWrapper(stream, encoding=name, errors=errors, newline="")
    try:
        yield text
    finally:
        if not stream.closed:
            text.detach()


def _preamble(lines: Sequence[str]) -> tuple[int, str]:
    """(number of lines before the header: blank ones, comments and `sep=;` of Excel; the separator declared there)."""
    skipped, declared = 0, ""
    for number, line in enumerate(lines[:-1]):
        text = line.strip(" \r\n").strip('"')
        if text.lower().startswith("sep=") and len(text) == 5:
            declared = text[4]
        elif text and not (text.startswith("#") and _has_letter(lines[number + 1 :])):
            break
        skipped = number + 1
    return skipped, declared


def _has_letter(lines: Sequence[str]) -> bool:
    """Return whether the next line with cells may be a header; if not, the comment before it is one."""
    text = next((line for line in lines if line.strip()), "")
    return any(letter.isalpha() for letter in text)


def _read(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The rows that can be read, without empty ones."""
    found = []
    try:
        for row in csv_rows(lines, separator):
            if any(cell.strip() for cell in row):
                found.append(row)
    except csv.Error:
        pass  # named by the reader of the whole file, with its line
    return found


def _separator(path: str, lines: Sequence[str], expected: str) -> str:
    """The separator that divides the header and the rows alike. Raises DataError if two do."""
    widths: dict[str, int] = {}
    shares: dict[str, float] = {}
    for separator in dict.fromkeys([*SEPARATORS.values(), *([expected] if expected else [])]):
        rows = _read(lines, separator)
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        alike = sum(len(row) in (width, width + 1) for row in rows[1:])
        share = alike / len(rows[1:]) if len(rows) > 1 else 1.0
        if share > _GLUED:
            widths[separator], shares[separator] = width, share
    if len(widths) > 1:
        widths.pop(" ", None)  # blanks within names and texts
    if expected in widths and shares[expected] == max(shares[one] for one in widths):
        return expected
    best = [one for one in widths if shares[one] >= max(shares[other] for other in widths) - 1e-9]
    if len(best) > 1:
        numbers = {one: _numbers(_read(lines, one)) for one in best}
        best = [one for one in best if numbers[one] == max(numbers.values())]
    if len(best) > 1:
        most = max(widths[one] for one in best)
        best = [one for one in best if widths[one] == most]
    if len(best) > 1:
        named = [word_of(one, SEPARATORS) for one in best]
        rule = f"the cells may be separated by {named[0]} or by {named[1]}"
        remedy = f"Set data.separator={named[0]} or data.separator={named[1]}"
        raise DataError(rule, file=path, remedy=remedy)
    return best[0] if best else ","


def _numbers(rows: Sequence[Sequence[str]]) -> float:
    """The share of cells below the header that are numbers in any spelling."""
    cells = [cell.strip() for row in rows[1:100] for cell in row]
    return sum(bool(reading_of({cell: 1}).styles) for cell in cells if cell) / max(1, len(cells))


def readings(rows: Iterable[Sequence[str]], width: int, marks: Marks) -> list[NumberReading]:
    """The reading of each column of some rows."""
    counts: list[Counter[str]] = [Counter() for _ in range(width)]
    for row in islice(rows, _ROWS):
        for place, cell in enumerate(row[:width]):
            text = cell.strip()
            if text and not marks.matches(text, number_in(text)):
                counts[place][text] += 1
    return [reading_of(texts) for texts in counts]


def _decimal(path: str, text: str, rows: list[list[str]], form: TableForm, settings: FormSettings, marks: Marks) -> str:
    """The decimal mark of a file: that of the settings, else of the columns with a single reading, else a point.

    Raises DataError for a file separated by semicolons whose only numbers with a mark are like 1.234 or 1,234.
    """
    if settings.decimal != AUTO:
        return settings.decimal
    if settings.thousands in (",", "."):
        return "." if settings.thousands == "," else ","
    sure = _QUOTED_COMMA if form.separator == "," else _OPEN_MARK
    if not sure.search(text):
        return "."
    width = len(rows[0]) + form.row_names if rows else 0
    found = readings(rows[1:], width, Marks(marks.words))
    if mark := decimal_of(found):
        return mark
    open_ones = [(place, reading) for place, reading in enumerate(found) if len(reading.decimals()) > 1]
    if open_ones and form.separator == ";":
        place, reading = open_ones[0]
        name = rows[0][place - form.row_names].strip() if place >= form.row_names else ""
        mark = "." if "." in reading.cell else ","
        other = {".": "comma", ",": "point"}[mark]
        same = {".": "point", ",": "comma"}[mark]
        rule = (
            f"{reading.cell!r} may have a decimal {same}, or separate thousands, and no column of the file shows which"
        )
        remedy = f"Set data.decimal={same} or data.decimal={other}"
        raise DataError(rule, file=path, column=name, remedy=remedy)
    return "."


def title_lines(lines: Sequence[str], separator: str = AUTO) -> int:
    """The number of lines above the header: each has at most one cell, and the rows below have as many as the header.

    separator  as it is known, or auto
    0 for a text whose first row may be the header.
    """
    found = [_above(lines, one) for one in ([separator] if len(separator) == 1 else [",", ";", "\t", "|"])]
    return 0 if 0 in found else min((number for number in found if number), default=0)


def _above(lines: Sequence[str], separator: str) -> int | None:
    """The lines above the header with this separator, None for a text that it does not divide."""
    rows: list[tuple[int, list[str]]] = []  # number of lines before the row, its cells
    reader, before = csv.reader(lines, delimiter=separator), 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((before, row))
            before = reader.line_num
    except csv.Error:
        return None
    header = next((place for place, (_, row) in enumerate(rows) if _filled(row) > 1), None)
    if header is None:
        return None
    start, names = rows[header]
    below = [row for _, row in rows[header + 1 :]]
    if sum(len(row) in (len(names), len(names) + 1) for row in below) < _ALIKE * len(below):
        return None
    is_header = all(cell.strip() and number_in(cell) is None for cell in names)
    return start if is_header and len(below) >= _FEWEST and header <= _TITLES else 0


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)
