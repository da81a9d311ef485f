"""What a check of data says: how bad it is, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dlexp.text.quoting import setting

Severity = Literal["error", "warning", "note"]

Dropped = Sequence[str] | None  # what data.drop names, None where a source has no such key

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_NAMED = 10  # places that a finding names


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know of the data.

    severity  error: training or its judgement would be spoilt; warning: probably not meant; note: good to know
    kind      a word for scripts that stays the same
    where     the first ten places
    count     how many places there are
    remedy    what to type, or to do where no key helps; "" where nothing is to be done
    """

    severity: Severity
    kind: str
    what: str
    where: tuple[str, ...] = ()
    count: int = 0
    remedy: str = ""


def finding(severity: Severity, kind: str, what: str, where: Sequence[str] = (), remedy: str = "") -> Finding:
    """A finding at all of `where`, of which it names the first."""
    return Finding(severity, kind, what, tuple(where[:_NAMED]), len(where), remedy)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`; `many` where an s makes no plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def dropping(names: Sequence[str], dropped: Dropped) -> str:
    """The setting that leaves columns of a table out, beside those that are; "" where the source has none."""
    if dropped is None:
        return ""
    return setting("data.drop", list(dict.fromkeys((*dropped, *names))))
