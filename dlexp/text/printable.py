"""Escape control characters in text of unknown origin before it is printed.

A class name, a column or a cell may contain an escape sequence that renames the window, clears the screen or hides a
line, or an override of the writing direction that displays another name. Each such character is shown by its number.
"""

from __future__ import annotations

import re

# C0 and C1 controls with DEL, marks and overrides of the direction, separators of lines, lone surrogates, tags.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """`text` on one line, with \\x1b for an escape character, \\n for a line break, \\u202e for an override."""
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(lambda found: _shown(found[0]), text)


def printable_lines(text: str) -> str:
    """`text` as `printable` gives it, with line breaks and tabs unchanged."""
    return _HIDDEN.sub(lambda found: found[0] if found[0] in "\n\t" else _shown(found[0]), text)


def _shown(letter: str) -> str:
    number = ord(letter)
    if letter in _NAMED:
        return _NAMED[letter]
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def on_one_line(text: str, limit: int = 300) -> str:
    """A text without line breaks, cut off after `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
