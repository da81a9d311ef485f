"""Quoting of command lines and KEY=VALUE arguments for bash, zsh and the override grammar of Hydra.

Builds every command line and every KEY=VALUE that dlexp prints for users to copy.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Text that the override grammar reads as one string without quotes, also as an item of a list.
_PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/)[A-Za-z0-9_./+%-]*")
_NO_TEXT = ("null", "true", "false", "inf", "nan")
_BEFORE_QUOTE = re.compile(r'(\\*)("|\Z)')
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_DIRECTORY_OR_JOB = ("=", "~", "%")  # expanded by zsh or bash at the start of an argument


def text_value(text: str) -> str:
    """Return a string as the value of an override or an item of its list, quoted only if necessary."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    kept = _INTERPOLATION.sub(lambda found: f"{2 * found[1]}\\${{", text)
    return '"' + _BEFORE_QUOTE.sub(_escaped, kept) + '"'


def value(content: Any) -> str:
    """Return None, a bool, number or string, or a list or mapping of those, in the override grammar."""
    if content is None:
        return "null"
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, Mapping):
        return "{" + ",".join(f"{_key(str(key))}:{value(item)}" for key, item in content.items()) + "}"
    if isinstance(content, list | tuple):
        return "[" + ",".join(value(item) for item in content) + "]"
    return text_value(content) if isinstance(content, str) else str(content)


def setting(key: str, content: Any) -> str:
    """Return KEY=VALUE as one argument of a command line."""
    return shell_word(f"{key}={value(content)}")


def command(*arguments: str | Path | tuple[str, Any]) -> str:
    """Return a command line that runs dlexp.

    Args:
        arguments: Arguments: strings, paths (also those that look like options), and (key, value) pairs for KEY=VALUE.
    """
    return " ".join(["dlexp", *map(_quoted, arguments)])


def listed(names: Iterable[str]) -> str:
    """Return names separated by commas, in quotes where a name is empty, has outer spaces or contains a comma."""
    return ", ".join(name if name.strip(" ,") == name != "" and "," not in name else f'"{name}"' for name in names)


def shell_word(word: str) -> str:
    """Return `word` quoted for bash and zsh; unprintable characters are escaped, as in $'\\n'."""
    if all(char.isprintable() for char in word):
        return f"'{word}'" if word.startswith(_DIRECTORY_OR_JOB) and shlex.quote(word) == word else shlex.quote(word)
    return "$'" + "".join(map(_ansi, word)) + "'"


def _key(name: str) -> str:
    """A key of a mapping, whose interpolations are not resolved."""
    is_plain = _PLAIN.fullmatch(name) and name.lower() not in _NO_TEXT
    return name if is_plain else '"' + _BEFORE_QUOTE.sub(_escaped, name) + '"'


def _quoted(word: str | Path | tuple[str, Any]) -> str:
    if isinstance(word, tuple):
        return setting(*word)
    if isinstance(word, Path):
        return shell_word(f"./{word}" if str(word).startswith("-") else str(word))
    return shell_word(word)


def _escaped(found: re.Match[str]) -> str:
    """Double the backslashes before a quote or the end of the string, and escape the quote."""
    backslashes, quote = found[1], found[2]
    return 2 * backslashes + (f"\\{quote}" if quote else "")


def _ansi(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
