"""Words as they were typed or pasted: spaces around =, unclosed brackets, quotes and dashes of documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlexp.text.dashes import LONG_DASHES
from dlexp.text.quoting import text_value

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_DOUBLE, _SINGLE = "\u201c\u201d\u201e\u201f\u00ab\u00bb", "\u2018\u2019\u201a\u201b\u2039\u203a"
_QUOTES = _DOUBLE + _SINGLE
_NEXT_WORD = re.compile(rf"[{_SPACES}]+(?=-|[{LONG_DASHES}]|[+~]*[A-Za-z_][\w./]*=)")
_LONG_DASH = re.compile(rf"^[-{LONG_DASHES}]*[{LONG_DASHES}][-{LONG_DASHES}]*(?=[A-Za-z])")
_MINUS = re.compile(rf"(?<=[=\[,:(eE])[{LONG_DASHES}](?=[0-9.])")
_OPENING = re.compile(rf"(?:^|[=\[,:({{])[{_QUOTES}]")
_QUOTED = re.compile(rf"([^=]+)=[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSING = {opening: closing for closing, opening in _PAIRS.items()}
_IN_QUOTES = re.compile(r"""(?<=[=\[,{: ])(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.DOTALL)
_KEY = re.compile(r"[+~]*[A-Za-z_][\w./-]*")


@dataclass(frozen=True)
class TypedWord:
    """A word of the command line as it was meant.

    Attributes:
        word: The word; in `typed` it may be spread over several.
        typed: The words as typed.
        rule: What is wrong with them, "" for nothing.
    """

    word: str
    typed: tuple[str, ...]
    rule: str = ""


def read_words(words: Sequence[str], is_name: Callable[[str], bool]) -> list[TypedWord]:
    """Return the words of a line with mistakes of typing and pasting mended, and the rule of each mistake.

    Args:
        words: KEY=VALUE as the shell passes them.
        is_name: Whether a word is the name of a key or a group, also of another tool.
    """
    found: list[TypedWord] = []
    position = 0
    while position < len(words):
        taken, read = _read(words[position:], is_name)
        found += read
        position += taken
    return found


def _read(words: Sequence[str], is_name: Callable[[str], bool]) -> tuple[int, list[TypedWord]]:
    """Return how many of the words belong together, and the words that were meant."""
    word = words[0]
    if getattr(word, "place", ""):  # of a file
        return 1, [TypedWord(word, (word,))]
    bare = _IN_QUOTES.sub("", word) if "=" in word else word  # texts in quotes mean what they say
    parts = [part for part in _NEXT_WORD.split(_visible(word)) if part]
    if [part for part in _NEXT_WORD.split(_visible(bare)) if part] != [bare]:
        rule = "contains a space that is not a plain one, as copied from a page" if len(parts) > 1 else ""
        rule = rule or "contains an invisible character, as copied from a page"
        return 1, [TypedWord(as_typed_here(part), (word,), rule) for part in parts]
    if _OPENING.search(bare):
        count = _words_until(words, lambda text: sum(text.count(quote) for quote in _QUOTES) % 2 == 0)
        rule = "contains typographic quotation marks, as copied from a document"
        return count, [TypedWord(_plain_quotes(" ".join(words[:count])), tuple(words[:count]), rule)]
    if _LONG_DASH.search(word) or _MINUS.search(bare):
        return 1, [TypedWord(as_typed_here(word), (word,), "contains a long dash, as copied from a document")]
    if (spaced := _around_equals(words, is_name)) is not None:
        return spaced
    key, equals, value = word.partition("=")
    if equals and value[:1] in _CLOSING and unbalanced(word):
        count = _words_until(words, lambda text: not unbalanced(text))
        if count > 1 and all("=" not in later for later in words[1:count]):
            rule = "is a list with spaces, which the shell divides"
            return count, [TypedWord(" ".join(words[:count]), tuple(words[:count]), rule)]
    if value.startswith("~") and "," not in value:
        return 1, [TypedWord(_expanded(key, value), (word,))]
    return 1, [TypedWord(word, (word,))]


def as_typed_here(word: str) -> str:
    """Return a word with the dashes and the minus sign of a keyboard."""
    return _MINUS.sub("-", _LONG_DASH.sub("", word) if "=" in word else _LONG_DASH.sub("--", word))


def has_long_dash(word: str) -> bool:
    """Return whether a word begins with a dash of a document, such as an en dash for two hyphens."""
    return bool(_LONG_DASH.search(word))


def unbalanced(word: str) -> str:
    """Return which bracket or quotation mark of a word is not closed, or closes nothing, with its place; or ""."""
    opened: list[tuple[str, int]] = []
    quote, quoted_at, escaped = "", 0, False
    for place, letter in enumerate(word, start=1):
        if escaped or letter == "\\":
            escaped = not escaped
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and (place == 1 or not word[place - 2].isalnum()):
            quote, quoted_at = letter, place
        elif letter in _CLOSING:
            opened.append((letter, place))
        elif letter in _PAIRS:
            if not opened:
                return f"the {letter} at character {place} closes nothing"
            opening, begun = opened.pop()
            if opening != _PAIRS[letter]:
                return f"the {letter} at character {place} closes the {opening} at character {begun}"
    if quote:
        return f"the quotation mark {quote} at character {quoted_at} is not closed"
    return f"the {opened[-1][0]} at character {opened[-1][1]} is not closed" if opened else ""


def closed(word: str) -> str | None:
    """Return a word with its open brackets and quotation mark closed; None if closing is not what it lacks."""
    for quote in ("", '"', "'"):
        text = word.rstrip(",") + quote
        for _ in range(word.count("[") + word.count("{") + word.count("(") + 1):
            problem = unbalanced(text)
            if not problem:
                return None if text.endswith(("=[]", "={}", "=()")) else text
            opening = problem.removeprefix("the ")[0]
            if not problem.endswith("is not closed") or opening not in _CLOSING:
                break
            text += _CLOSING[opening]
    return None


def _around_equals(words: Sequence[str], is_name: Callable[[str], bool]) -> tuple[int, list[TypedWord]] | None:
    """Return `model = mlp`, `model= mlp`, `model =mlp`, `model: mlp`, `model:mlp` or `model mlp` as one word."""
    word, following = words[0], [*words[1:3], "", ""]
    second, third = following[0], following[1]
    spaces = "must be one word KEY=VALUE, without spaces"
    colon = "must have = between key and value"
    name, _, rest = word.partition(":")
    if "=" not in word and _KEY.fullmatch(word) and second == "=" and third:
        return 3, [TypedWord(f"{word}={third}", tuple(words[:3]), spaces)]
    if "=" not in word and _KEY.fullmatch(word) and second.startswith("=") and len(second) > 1:
        return 2, [TypedWord(word + second, tuple(words[:2]), spaces)]
    if word.endswith("=") and is_name(word[:-1]) and second and "=" not in second and second[0] not in "-+~":
        return 2, [TypedWord(word + second, tuple(words[:2]), spaces)]
    if word.endswith(":") and second and "=" not in second and is_name(name):
        return 2, [TypedWord(f"{name}={second}", tuple(words[:2]), colon)]
    if "=" not in word and rest and is_name(name):
        return 1, [TypedWord(f"{name}={rest}", (word,), colon)]
    is_value = bool(second) and "=" not in second and second[0] not in "-+~" and not second.endswith(":")
    if "=" not in word and is_name(word) and is_value and not (is_name(second) and third and "=" not in third):
        return 2, [TypedWord(f"{word}={second}", tuple(words[:2]), "must be one word KEY=VALUE")]
    return None


def _words_until(words: Sequence[str], is_complete: Callable[[str], bool]) -> int:
    """Return the number of words, joined with spaces, that are complete; 1 if no number of them is."""
    for count in range(1, len(words) + 1):
        if is_complete(" ".join(words[:count])):
            return count
    return 1


def _visible(word: str) -> str:
    """Return a word without invisible characters, and without spaces of documents at its ends."""
    return "".join(letter for letter in word if letter not in _INVISIBLE).strip(_SPACES)


def _plain_quotes(word: str) -> str:
    """Return a word with the quotation marks of a keyboard; a single value is quoted as a string."""
    if whole := _QUOTED.fullmatch(word):
        return f"{whole[1]}={text_value(whole[2])}"
    for quotes, plain in ((_DOUBLE, '"'), (_SINGLE, "'")):
        word = "".join(plain if letter in quotes else letter for letter in word)
    return word


def _expanded(key: str, value: str) -> str:
    """Return KEY=~/FILE with the home directory, which no shell puts behind =."""
    try:
        path = str(Path(value).expanduser())
    except RuntimeError:  # there is no such user
        return f"{key}={value}"
    return f"{key}={text_value(path)}"
