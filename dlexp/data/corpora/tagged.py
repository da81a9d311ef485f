"""Sentences whose words have tags, in files of the CoNLL form and in JSON lines.

The CoNLL form has a word a line, its columns separated by blanks or tabs: the word in the first, its tag in the last.
An empty line ends a sentence. Lines that begin with `-DOCSTART-`, or with `# ` before the first word of a sentence, are
no words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.data.corpora.reading import corpus_text
from dlexp.errors import DataError

_DOCUMENT = "-DOCSTART-"
_REMEDY = "Each word needs its tag: `word TAG` a line, and an empty line between sentences."
_WAY_OUT = "Or leave out sentences without tags: data.on_bad=skip"


@dataclass(frozen=True)
class Sentence:
    """Words and the tag of each.

    line  where the sentence begins in its file, from 1
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


def read_sentences(
    file: Path, encoding: str = "auto", words: str = "tokens", tags: str = "tags", skipped: list[str] | None = None
) -> list[Sentence]:
    """The sentences of a file.

    Args:
        file: CoNLL lines, or JSON lines.
        encoding: Of the file; auto: detected.
        words: Key of the list of words in JSON lines.
        tags: Key of the list of their tags.
        skipped: Receives the places of sentences with a word without a tag, which are left out; None refuses them.

    Raises:
        DataError: There is none, or a word has no tag; it names the line.
    """
    text = corpus_text(file, encoding)
    is_json = text.lstrip().startswith("{")
    left: list[int] | None = None if skipped is None else []
    found = list(_json_lines(file, text, (words, tags), left) if is_json else _conll(file, text, left))
    if skipped is not None:
        skipped += [f"{file.name} line {line}" for line in left or ()]
    if not found:
        raise DataError("has no sentences", file=file, remedy=_REMEDY, code="too-few-samples")
    return found


def _conll(file: Path, text: str, left: list[int] | None) -> Iterator[Sentence]:
    words, tags, begun, width, is_whole = list[str](), list[str](), 0, 0, True
    for number, line in enumerate([*text.split("\n"), ""], 1):
        cells = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or line.startswith(_DOCUMENT):
            if words and is_whole:
                yield Sentence(tuple(words), tuple(tags), begun)
            elif words and left is not None:
                left.append(begun)
            words, tags, is_whole = [], [], True
            continue
        if not words and line.startswith("# "):
            continue
        cells = [cell.strip() for cell in cells]
        if left is not None and cells[0] and (len(cells) < 2 or not cells[-1]):
            begun, is_whole = begun if words else number, False
            words.append(cells[0])
            continue
        if len(cells) < 2 or not cells[0] or not cells[-1]:
            rule = f"must have a word and its tag, got {line.strip()[:40]!r}"
            raise DataError(rule, file=file, row=number, remedy=f"{_REMEDY} {_WAY_OUT}")
        width = width or len(cells)
        if len(cells) != width:
            rule = f"must have {width} columns as the first word has, got {len(cells)}: {line.strip()[:40]!r}"
            raise DataError(rule, file=file, row=number, remedy=_REMEDY)
        begun = begun if words else number
        words.append(cells[0])
        tags.append(cells[-1])


def _json_lines(file: Path, text: str, keys: tuple[str, str], left: list[int] | None) -> Iterator[Sentence]:
    words, tags = keys
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            given: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"is not valid JSON: {error.msg}", file=file, row=number) from error
        if isinstance(given, dict) and given.get(words) and tags in given and not given[tags]:
            if left is None:
                rule = f"has words and no {tags}"
                raise DataError(rule, file=file, row=number, remedy=f"Write them. {_WAY_OUT}", code="missing-value")
            left.append(number)
            continue
        if not isinstance(given, dict) or not {words, tags} <= given.keys():
            had = ", ".join(given) if isinstance(given, dict) else type(given).__name__
            rule = f"must have the keys {words} and {tags}, got {had}"
            remedy = f"Set data.words and data.target to the names of the lists. {_WAY_OUT}"
            raise DataError(rule, file=file, row=number, remedy=remedy)
        one, other = given[words], given[tags]
        if not all(isinstance(part, list) and all(isinstance(item, str) for item in part) for part in (one, other)):
            rule = f"{words} and {tags} must be lists of texts"
            raise DataError(rule, file=file, row=number, remedy="Write the names of the tags and not their numbers.")
        if len(one) != len(other):
            rule = f"has {len(one)} words and {len(other)} tags"
            raise DataError(rule, file=file, row=number, remedy="Each word needs one tag.")
        if one:
            yield Sentence(tuple(one), tuple(other), number)
