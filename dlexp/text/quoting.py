"""Lines to copy: words quoted so that bash and zsh, and the grammar of overrides behind them, give back what was meant.

Every command line and every KEY=VALUE that dlexp prints for a person to type is built here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# What the grammar of overrides reads as one text without quotes, whatever is to the left and right of it in a list.
_PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/)[A-Za-z0-9_./+%-]*")
_NO_TEXT = ("null", "true", "false", "inf", "nan")
_BEFORE_QUOTE = re.compile(r'(\\*)("|\Z)')
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_DIRECTORY_OR_JOB = ("=", "~", "%")  # what zsh or bash expands at the start of a word


def text_value(text: str) -> str:
    """A text as the value of an override or an item of a list there: plain where it is read as that, else quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    kept = _INTERPOLATION.sub(lambda found: f"{2 * found[1]}\\${{", text)
    return '"' + _BEFORE_QUOTE.sub(_escaped, kept) + '"'


def value(content: Any) -> str:
    """A plain value in the grammar of overrides: None, a bool, a number, a text, or a list or mapping of those."""
    if content is None:
        return "null"
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, Mapping):
        return "{" + ",".join(f"{text_value(str(key))}:{value(item)}" for key, item in content.items()) + "}"
    if isinstance(content, list | tuple):
        return "[" + ",".join(value(item) for item in content) + "]"
    return text_value(content) if isinstance(content, str) else str(content)


def setting(key: str, content: Any) -> str:
    """KEY=VALUE as a word of a command line."""
    return shell_word(f"{key}={value(content)}")


def command(*words: str | Path | tuple[str, Any]) -> str:
    """A line that calls dlexp; a path stays one where it looks like an option, a (key, value) pair is KEY=VALUE."""
    return " ".join(["dlexp", *map(_quoted, words)])


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, separated by commas; in quotes where a name would read as several, or as none."""
    return ", ".join(name if name.strip(" ,") == name != "" and "," not in name else f'"{name}"' for name in names)


def shell_word(word: str) -> str:
    """`word` for bash and zsh; a character that has no width or moves the cursor is written as an escape, $'\\n'."""
    if all(char.isprintable() for char in word):
        return f"'{word}'" if word.startswith(_DIRECTORY_OR_JOB) and shlex.quote(word) == word else shlex.quote(word)
    return "$'" + "".join(map(_ansi, word)) + "'"


def _quoted(word: str | Path | tuple[str, Any]) -> str:
    if isinstance(word, tuple):
        return setting(*word)
    if isinstance(word, Path):
        return shell_word(f"./{word}" if str(word).startswith("-") else str(word))
    return shell_word(word)


def _escaped(found: re.Match[str]) -> str:
    """Backslashes before a quote, or before the closing one, count twice; others stand for themselves."""
    backslashes, quote = found[1], found[2]
    return 2 * backslashes + (f"\\{quote}" if quote else "")


def _ansi(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
