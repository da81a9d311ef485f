"""The form of a table in a file: what a user sets of it, what is detected, what a run records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dlexp.data.tables.numerals import NumberStyle
from dlexp.errors import DataError
from dlexp.text.quoting import listed

AUTO = "auto"

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
DECIMALS = {"point": ".", "comma": ","}
THOUSANDS = {"none": "", "comma": ",", "point": ".", "space": " ", "apostrophe": "'"}

_UNUSABLE = '"\r\n'


@dataclass(frozen=True)
class FormSettings:
    """The settings of a user; `auto` is detected from the file.

    separator  one character, or a word of SEPARATORS
    decimal    "." or ",", or a word of DECIMALS
    encoding   the name of an encoding of Python
    thousands  one character, or a word of THOUSANDS
    sheet      of a workbook: its name, or its number counted from 1; `auto` is the only one with cells
    """

    separator: str = AUTO
    decimal: str = AUTO
    encoding: str = AUTO
    thousands: str = AUTO
    sheet: str = AUTO

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> FormSettings:
        """The settings among the arguments of a data source. Raises DataError for invalid ones, all at once."""
        found = {name: str(arguments.get(name, AUTO)) for name in cls.__dataclass_fields__}
        wrong = [problem for name, value in found.items() if (problem := _problem(name, value))]
        if wrong:
            raise DataError("; ".join(wrong), file=arguments.get("path"), code="invalid-value")
        for name, words in (("separator", SEPARATORS), ("decimal", DECIMALS), ("thousands", THOUSANDS)):
            found[name] = words.get(found[name], found[name])
        if found["separator"] == "\\t":
            found["separator"] = "\t"
        if found["decimal"] == found["thousands"] != AUTO:
            rule = "data.decimal and data.thousands are the same character"
            raise DataError(rule, file=arguments.get("path"), remedy="Set data.thousands=none", code="invalid-value")
        return cls(**found)


def _problem(name: str, value: str) -> str:
    """The reason why a setting is invalid, "" if it is valid."""
    if value == AUTO or name == "sheet":
        return ""
    if name == "separator":
        single = len(value) == 1 and value not in _UNUSABLE and value != "\0"
        is_valid, words = single or value == "\\t" or value in SEPARATORS, tuple(SEPARATORS)
    elif name == "encoding":
        try:
            is_valid, words = bool("".encode(value)) is False, ()
        except (LookupError, ValueError, UnicodeError):
            rule = f"data.encoding must be the name of an encoding, got {value!r}."
            return f"{rule} Set data.encoding=utf-8, data.encoding=cp1252 or data.encoding=utf-16"
        return ""
    else:
        known = DECIMALS if name == "decimal" else THOUSANDS
        is_valid, words = value in known or value in set(known.values()) - {""}, tuple(known)
    return (
        "" if is_valid else f"data.{name} must be {listed([AUTO, *words])}, got {value!r}. Set data.{name}={words[0]}"
    )


@dataclass(frozen=True)
class TableForm:
    """The form of a file.

    format       csv, json lines, json, excel, parquet, feather or dataframe
    compression  gzip, bzip2, xz, zstandard or zip; "" for none
    separator    between cells, " " for any blanks
    encoding     of the text
    skipped      lines before the header
    row_names    whether the header lacks the name of the first column, as R writes row names
    trailing     whether rows end with a separator, but not the header
    decimal      the decimal mark of the file
    sheet        of a workbook
    styles       column -> spelling of its numbers, where it is not that of Python
    """

    format: str = "csv"
    compression: str = ""
    separator: str = ","
    encoding: str = "utf-8"
    skipped: int = 0
    row_names: bool = False
    trailing: bool = False
    decimal: str = "."
    sheet: str = ""
    styles: Mapping[str, NumberStyle] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Plain values, which a run records."""
        return asdict(self) | {"styles": {name: asdict(style) for name, style in self.styles.items()}}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> TableForm:
        """The form of plain values; missing ones have their defaults."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        styles = {name: NumberStyle(**style) for name, style in values.get("styles", {}).items()}
        return cls(**(known | {"styles": styles}))

    def note(self) -> str:
        """One line that says how the file was read, with the keys that change it; "" for commas, UTF-8 and points."""
        parts: list[str] = []
        keys: list[str] = []
        if self.format == "csv" and self.separator != ",":
            parts.append(f"separated by {word_of(self.separator, SEPARATORS)}")
            keys.append("data.separator")
        if self.format not in ("parquet", "feather", "excel", "dataframe") and self.encoding not in ("utf-8", "ascii"):
            parts.append(f"encoding {self.encoding}")
            keys.append("data.encoding")
        if self.sheet:
            parts.append(f"sheet {self.sheet!r}")
            keys.append("data.sheet")
        if self.decimal == ",":
            parts.append("decimal comma")
            keys.append("data.decimal")
        for words, key in self._styled():
            parts.append(words)
            keys += [key] if key and key not in keys else []
        if self.compression:
            parts.append(f"{self.compression} compression")
        if self.skipped:
            parts.append(f"{self.skipped} lines before the header skipped" if self.skipped > 1 else "line 1 skipped")
        if self.row_names:
            parts.append("the first column has no name")
        changed = f". To change it, set {', '.join(dict.fromkeys(keys))}" if keys else ""
        return f"form of the file: {', '.join(parts)}{changed}" if parts else ""

    def _styled(self) -> list[tuple[str, str]]:
        """(what was found in the numbers of some columns, the key that changes it)."""
        found: dict[tuple[str, str], list[str]] = {}
        for name, style in self.styles.items():
            if style.decimal != self.decimal:
                what = f"decimal {word_of(style.decimal, DECIMALS)}"
                found.setdefault((what, "data.decimal"), []).append(name)
            if style.thousands:
                what = f"thousands separated by {word_of(style.thousands, THOUSANDS)}"
                found.setdefault((what, "data.thousands"), []).append(name)
            if style.percent:
                found.setdefault(("percent signs", "data.columns"), []).append(name)
            if style.scaled:
                found.setdefault(("K, M, B, T as powers of 1,000", "data.columns"), []).append(name)
            if style.accounts:
                found.setdefault(("negative numbers in parentheses", "data.columns"), []).append(name)
            if style.currency:
                found.setdefault((f"currency {style.currency}", "data.columns"), []).append(name)
        return [(f"{what} in {_some(names)}", key) for (what, key), names in found.items()]


def word_of(character: str, words: Mapping[str, str]) -> str:
    """The word for a character, or the character in quotes."""
    return next((word for word, one in words.items() if one == character), repr(character))


def _some(names: list[str]) -> str:
    return listed(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# A DataFrame that a program hands over.
FRAME_FORM = TableForm(format="dataframe")
