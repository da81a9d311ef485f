"""Overrides whose value has names in it: files and columns of a table with any letters, and `recall[yes]`.

Hydra's grammar has no quotes around the keys of a mapping, and allows ASCII letters, digits and few signs in them.
"""

from __future__ import annotations

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

_DOUBLE, _SINGLE = r'"(?:[^"\\]|\\.)*"', r"'(?:[^'\\]|\\.)*'"
_BARE = r"[^\s{}\[\],:\"'](?:[^{}\[\],:\"']*[^\s{}\[\],:\"'])?"
_PLAIN = re.compile(r"""[^\s\[\]{}()"'\\$,=~][^\[\]{}()"'\\$,=]*""")
_OF_METRICS = ("metrics", "trainer.monitor", "task.monitor")
_OF_ONE = re.compile(r"""(?<![\w"'\\./])(?:[a-z]+/)?[A-Za-z_]\w*\[[^\[\]"']*\]""")
_ENTRY = re.compile(
    rf"\s*({_DOUBLE}|{_SINGLE}|{_BARE})\s*:\s*([A-Za-z_][\w-]*|{_DOUBLE}|{_SINGLE})\s*(,|\}}$)", re.DOTALL
)


def parse_override(word: str) -> Override:
    """Return the override of a word. Raises HydraException for one that neither grammar reads."""
    parser, word = OverridesParser.create(), with_quoted_names(word)
    key, _, text = word.partition("=")
    try:
        override = parser.parse_override(word)
    except HydraException:
        quoted = _plain_in_quotes(text)
        if quoted is not None:
            override = parser.parse_override(f"{key}={quoted}")
            override.input_line = word
            return override
        names = _names(text)
        if names is None:
            raise
        override = parser.parse_override(f"{key}=x")
        override._value, override.input_line = names, word
        return override
    value = override.value() if not override.is_sweep_override() else None
    if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
        override._value = _names(text) or override._value
    return override


def _plain_in_quotes(text: str) -> str | None:
    """A text, or a list of texts, of any letters and signs but those of the grammar, in its quotes; None for others.

    Such as Größe, [Größe,Preis] and a&b.csv: a file name or a column that needs no quotes elsewhere needs none here.
    """
    items = text[1:-1].split(",") if text.startswith("[") and text.endswith("]") else [text]
    items = [item.strip() for item in items]
    if not all(item.isprintable() and _PLAIN.fullmatch(item) for item in items):
        return None
    quoted = ",".join(f'"{item}"' for item in items)
    return f"[{quoted}]" if text.startswith("[") else quoted


def _names(text: str) -> dict[str, str] | None:
    """A flat mapping of names to words, {NAME:WORD, ...}; None for other texts."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    found, place = dict[str, str](), 1
    while place < len(text):
        entry = _ENTRY.match(text, place)
        if entry is None:
            return None
        found[_plain(entry[1])] = _plain(entry[2])
        place = entry.end()
    return found


def _plain(text: str) -> str:
    """A name without its quotes; backslashes before a quote are doubled, and one more escapes it."""
    if text[:1] not in ('"', "'"):
        return text
    mark = text[0]
    return re.sub(rf"(\\+)({mark}|\Z)", lambda run: "\\" * (len(run[1]) // 2) + run[2], text[1:-1])


def with_quoted_names(word: str) -> str:
    """Return KEY=VALUE with names of metrics of one class, such as `recall[yes]`, in the quotes of the grammar."""
    key, equals, text = word.partition("=")
    return f"{key}{equals}{_OF_ONE.sub(_in_quotes, text)}" if key in _OF_METRICS else word


def _in_quotes(found: re.Match[str]) -> str:
    return f'"{found[0]}"'
