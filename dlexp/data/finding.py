"""What a check of data says: how bad it is, where, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

Dropped = Sequence[str] | None  # what data.drop names, None where a source has no such key

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_NAMED = 10  # places that a finding names
_OTHER_TYPES = ("null", "true", "false", "nan", "inf")  # words that are no text without quotes
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*")  # what a list on the command line takes without quotes


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
    return "" if dropped is None else setting("data.drop", (*dropped, *names))


def setting(key: str, words: Sequence[str]) -> str:
    """The setting of a key to a list of texts, in quotes for a shell."""
    quoted = [
        word if _PLAIN.fullmatch(word) and word.lower() not in _OTHER_TYPES else f'"{word}"'
        for word in dict.fromkeys(words)
    ]
    return f"'{key}=[{','.join(quoted)}]'"
