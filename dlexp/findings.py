"""Findings of checks, with severity, places and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dlexp.text.quoting import setting

Severity = Literal["error", "warning", "note"]

Declared = Mapping[str, str] | None  # the current data.columns, None for a source without this key

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_NAMED = 10  # places listed in a finding


@dataclass(frozen=True)
class Finding:
    """One finding about the data.

    severity  error: training or evaluation would be invalid; warning: probably a mistake; note: for information
    kind      a stable name, for scripts
    what      the message
    where     the first ten places
    count     the number of places
    remedy    a setting, or an action if no setting applies; "" if there is nothing to do
    drops     the columns that the remedy drops
    """

    severity: Severity
    kind: str
    what: str
    where: tuple[str, ...] = ()
    count: int = 0
    remedy: str = ""
    drops: tuple[str, ...] = ()


def finding(severity: Severity, kind: str, what: str, where: Sequence[str] = (), remedy: str = "") -> Finding:
    """Create a finding that counts all of `where` and lists the first ten."""
    return Finding(severity, kind, what, tuple(where[:_NAMED]), len(where), remedy)


def dropped(
    severity: Severity, kind: str, what: str, where: Sequence[str], names: Sequence[str], declared: Declared
) -> Finding:
    """Create a finding whose remedy drops columns of a table."""
    made = finding(severity, kind, what, where, dropping(names, declared))
    return made if declared is None else replace(made, drops=tuple(names))


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`; `many` is the plural if it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def declaring(kinds: Mapping[str, str], declared: Declared) -> str:
    """The setting that gives columns of a table a kind in addition; "" for a source without data.columns."""
    return "" if declared is None else setting("data.columns", {**declared, **kinds})


def dropping(names: Sequence[str], declared: Declared) -> str:
    """The setting that drops further columns of a table; "" for a source without data.columns."""
    return declaring(dict.fromkeys(names, "drop"), declared)


def listed_places(places: Sequence[str], most: int = 5) -> str:
    """The first few places, and how many more there are."""
    more = f", and {len(places) - most:,} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more
