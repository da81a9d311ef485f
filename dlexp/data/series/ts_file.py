"""Files of the UEA and UCR archives (.ts): a header, then a line for each labeled series.

    @problemName Gestures
    @classLabel true up down
    @data
    1.0,2.0,?:0.5,0.1,0.3:up

The channels of a series are separated by colons, its steps by commas; the label comes last. Symbols: T steps of a
series, C channels.

Source: Bagnall et al., The UEA multivariate time series classification archive, arXiv 1811.00075.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlexp.data.paths import check_file
from dlexp.data.series.series_set import Floats
from dlexp.errors import DataError
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import listed

_CLASS, _VALUE = "@classlabel", "@targetlabel"
_KEYS = {
    "@problemname": "@problemName",
    "@timestamps": "@timeStamps",
    "@missing": "@missing",
    "@univariate": "@univariate",
    "@dimensions": "@dimensions",
    "@dimension": "@dimension",
    "@equallength": "@equalLength",
    "@serieslength": "@seriesLength",
    _CLASS: "@classLabel",
    _VALUE: "@targetLabel",
}
_MISSING = ("?", "nan")


@dataclass(frozen=True)
class LabeledSeries:
    """The series of a file.

    kind     class, value, or "" without labels
    classes  in the order of the header, () where it names none
    values   (T, C) float64 of each series, NaN for a missing value
    labels   the text after the last colon of each, "" without labels
    lines    the line of each
    """

    file: Path
    kind: str
    classes: tuple[str, ...]
    values: tuple[Floats, ...]
    labels: tuple[str, ...]
    lines: tuple[int, ...]


@dataclass
class _Header:
    kind: str = ""
    classes: tuple[str, ...] = ()
    channels: int | None = None


def is_ts(path: Path) -> bool:
    """Whether a file is named as one of the archives."""
    return path.suffix.lower() == ".ts"


def label_kind(path: Path) -> str:
    """`class` or `value`, as the header says. Raises DataError for a file without labels."""
    for _, header in _lines(path):
        return _labeled(path, header).kind
    raise _empty(path)


def read_ts(path: Path, needs_labels: bool = True) -> LabeledSeries:
    """The series of a .ts file. Raises DataError with the line of what is malformed."""
    values: list[Floats] = []
    labels, lines = [], []
    header = _Header()
    for (number, text), header in _lines(path):
        if needs_labels:
            _labeled(path, header)
        parts = text.split(":")
        label = parts.pop().strip() if header.kind else ""
        if header.channels is None:
            header.channels = len(parts)
        if not parts or len(parts) != header.channels:
            found = f"must have {header.channels} channels{' and a label' * bool(header.kind)}, separated by colons"
            rule = f"{found}, got {len(parts)}" if parts else f"{found}, got the label alone"
            raise DataError(rule, file=path, row=number, remedy="Correct the line.", code="invalid-syntax")
        values.append(_steps(path, number, parts))
        labels.append(label)
        lines.append(number)
    if not values:
        raise _empty(path)
    return LabeledSeries(path, header.kind, header.classes, tuple(values), tuple(labels), tuple(lines))


def _lines(path: Path) -> Iterator[tuple[tuple[int, str], _Header]]:
    """(number and text) of each line of data, with the header."""
    check_file(path)
    header, in_data = _Header(), False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith(("#", "%")):
                continue
            if in_data:
                yield (number, text), header
            elif text.lower() == "@data":
                in_data = True
            elif text.startswith("@"):
                _read_key(path, number, text, header)
            else:
                rule = f"must be a line of the header, which begins with @, got {text[:40]!r}"
                remedy = "Write @data before the series."
                raise DataError(rule, file=path, row=number, remedy=remedy, code="invalid-syntax")
    if not in_data:
        raise DataError("has no line @data", file=path, remedy="Use a complete .ts file.", code="invalid-syntax")


def _read_key(path: Path, number: int, text: str, header: _Header) -> None:
    word, *rest = text.split()
    key = word.lower()
    if key not in _KEYS:
        near = nearest_name(word, list(_KEYS.values()))
        remedy = f"Did you mean {near}?" if near else f"Write one of {listed(list(_KEYS.values()))}."
        raise DataError(f"unknown key {word}", file=path, row=number, remedy=remedy, code="unknown-value")
    is_true = bool(rest) and rest[0].lower() == "true"
    if key == "@timestamps" and is_true:
        rule = "series with time stamps of their own are not supported"
        remedy = "Write the values of equal steps, with @timeStamps false."
        raise DataError(rule, file=path, row=number, remedy=remedy, code="not-supported")
    if key in ("@dimensions", "@dimension"):
        if not rest or not rest[0].isdecimal() or int(rest[0]) < 1:
            rule = f"must be {word} and a number of channels, got {text!r}"
            raise DataError(rule, file=path, row=number, remedy="Correct the line.", code="invalid-syntax")
        header.channels = int(rest[0])
    if key == "@univariate" and is_true:
        header.channels = 1
    if key in (_CLASS, _VALUE) and is_true:
        header.kind = "class" if key == _CLASS else "value"
        header.classes = tuple(rest[1:]) if key == _CLASS else ()


def _labeled(path: Path, header: _Header) -> _Header:
    if header.kind:
        return header
    rule = "has no labels: its header has neither @classLabel true nor @targetLabel true"
    remedy = "Use a file with labels. To forecast series, use data=series"
    raise DataError(rule, file=path, remedy=remedy, code="missing-value")


def _steps(path: Path, number: int, parts: list[str]) -> Floats:
    """(T, C) values of the channels of a line."""
    channels = []
    for place, part in enumerate(parts, 1):
        cells = [cell.strip() for cell in part.split(",")] if part.strip() else []
        try:
            found = [np.nan if cell.lower() in _MISSING else float(cell) for cell in cells]
        except ValueError as error:
            rule = f"channel {place} must be numbers, or ? for a missing one: {error}"
            raise DataError(rule, file=path, row=number, remedy="Correct the value.", code="invalid-value") from error
        if any(np.isinf(value) for value in found):
            rule = f"channel {place} has an infinite value"
            raise DataError(rule, file=path, row=number, remedy="Correct the value.", code="out-of-range")
        channels.append(found)
    lengths = [len(channel) for channel in channels]
    if len(set(lengths)) > 1:
        rule = f"the channels have {listed([str(length) for length in lengths])} steps, and must have equally many"
        remedy = "Write ? for each step that a channel lacks."
        raise DataError(rule, file=path, row=number, remedy=remedy, code="invalid-syntax")
    values = np.array(channels, dtype=np.float64).T
    there = np.flatnonzero(~np.isnan(values).all(axis=1)) if values.size else np.zeros(0, dtype=np.int64)
    if not len(there):
        rule = "the series has no value"
        raise DataError(rule, file=path, row=number, remedy="Correct the line, or delete it.", code="too-few-samples")
    # Files of one length for all series fill shorter ones up with missing steps at the end.
    return values[: there[-1] + 1]


def _empty(path: Path) -> DataError:
    return DataError("has no series", file=path, remedy="Use a complete .ts file.", code="too-few-samples")
