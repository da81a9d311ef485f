"""Paragraphs that a text repeats: a model that has read one knows the other by heart."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHORTEST = 40  # characters from which a paragraph is no heading or common phrase
_BREAK = re.compile(r"(\n[ \t]*\n\s*)")


@dataclass(frozen=True)
class Deduplicated:
    """A text in which each long paragraph occurs once.

    text        the text that is left
    paragraphs  how many were removed
    characters  and of how many characters
    """

    text: str
    paragraphs: int
    characters: int


def without_repeated(text: str) -> Deduplicated:
    """Remove every paragraph of at least 40 characters that occurred before; paragraphs are parted by empty lines.

    Two paragraphs are the same if they differ in white space alone.
    """
    pieces = _BREAK.split(text)
    seen, kept, removed, characters = set[str](), list[str](), 0, 0
    for place in range(0, len(pieces), 2):
        paragraph, after = pieces[place], pieces[place + 1] if place + 1 < len(pieces) else ""
        plain = " ".join(paragraph.split())
        if len(plain) >= _SHORTEST and plain in seen:
            removed += 1
            characters += len(paragraph) + len(after)
            continue
        seen.add(plain)
        kept += [paragraph, after]
    return Deduplicated("".join(kept), removed, characters)
