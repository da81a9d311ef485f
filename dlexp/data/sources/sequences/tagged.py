"""Sentences with a tag for each word: of files, and made-up ones whose entities are known.

Symbols: N sentences, M words of all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import Ragged
from dlexp.data.corpora.tagged import Sentence, read_sentences
from dlexp.data.preprocess import Identity
from dlexp.data.splitting import rows_of_parts, split_rows
from dlexp.errors import DataError
from dlexp.findings import counted, listed_places
from dlexp.sequence_specs import TagSpec, TokenSpec
from dlexp.specs import DataSpec
from dlexp.text.vocabulary import counted_vocabulary

__all__ = ["entities", "tagged"]

_NAMED = 5


def tagged(
    *,
    path: str,
    encoding: str = "auto",
    words: str = "tokens",
    target: str = "tags",
    vocabulary_size: int = 20_000,
    min_count: int = 1,
    lowercase: bool = False,
    on_bad: str = "fail",
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
    val_path: str | None = None,
    test_path: str | None = None,
) -> DataBundle:
    """Sentences of a file: CoNLL lines `word TAG`, or JSON lines with a list of words and a list of tags.

    Args:
        path: The file.
        encoding: Of the files; auto: detected.
        words: Key of the words in JSON lines.
        target: Key of the tags in JSON lines.
        vocabulary_size: Largest number of different words; the most frequent of the training split.
        min_count: How often a word must occur in the training split to be known.
        lowercase: Whether words are read in lower case.
        on_bad: What becomes of sentences with a word without a tag: fail, or skip.
        val_fraction: Share of the sentences in the validation split.
        test_fraction: Share of them in the test split.
        split_seed: Seed of the split.
        val_path: File of the validation sentences, None where they are part of `path`.
        test_path: Likewise for the test sentences.

    Raises:
        DataError: A file cannot be read or a word has no tag, or there are too few sentences.
    """
    paths = (path, val_path, test_path)
    left: list[str] = []
    skipped = left if on_bad == "skip" else None
    files = [read_sentences(Path(file), encoding, words, target, skipped) if file else [] for file in paths]
    sentences = list(chain.from_iterable(files))
    shares = (val_fraction, test_fraction, split_seed)
    is_divided = bool(val_path or test_path)
    sizes = dict(zip(SPLITS, map(len, files), strict=True)) if is_divided else {"": len(sentences)}
    parts = rows_of_parts(sizes, shares)
    bundle = _bundle(sentences, parts, (vocabulary_size, min_count, lowercase), path)
    if not left:
        return bundle
    note = f"{counted(len(left), 'sentence')} without a tag for each word left out: {listed_places(left)}"
    return replace(bundle, notes=(*bundle.notes, note), left_out=tuple(left))


def entities(
    *,
    num_samples: int = 2000,
    data_seed: int = 0,
    vocabulary_size: int = 20_000,
    min_count: int = 1,
    lowercase: bool = False,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Made-up sentences with persons, places, organizations and times, whose tags (BIO) follow from how they are made.

    Some names are those of a person in one sentence and of a place in another, so that a word alone does not tell.

    Args:
        num_samples: Sentences.
        data_seed: Seed of the sentences.
        vocabulary_size: As `tagged`; so are the other arguments.
    """
    sentences = _made(num_samples, data_seed)
    parts = split_rows(len(sentences), (val_fraction, test_fraction, split_seed))
    return _bundle(sentences, parts, (vocabulary_size, min_count, lowercase), None)


_FIRST = [
    "Ada",
    "Alan",
    "Grace",
    "Florence",
    "Paris",
    "Austin",
    "Sofia",
    "Georgia",
    "Victoria",
    "Jordan",
    "Sydney",
    "Charlotte",
    "Edsger",
    "Barbara",
]
_LAST = [
    "Lovelace",
    "Turing",
    "Hopper",
    "Berg",
    "Lincoln",
    "Dijkstra",
    "Liskov",
    "Jackson",
    "Hamilton",
    "Washington",
    "Madison",
    "Kent",
]
_PLACES = [
    "Paris",
    "Austin",
    "Sofia",
    "Georgia",
    "Victoria",
    "Jordan",
    "Sydney",
    "Charlotte",
    "Florence",
    "Lincoln",
    "Washington",
    "Madison",
    "Kent",
    "Oslo",
    "San_Jose",
    "New_York",
    "Cape_Town",
    "Rio_de_Janeiro",
    "Hamilton",
]
_FIRMS = [
    "Acme",
    "Jackson_Brothers",
    "Kent_Industries",
    "First_Bank",
    "Oslo_Trading",
    "Hamilton_and_Sons",
    "Madison_Systems",
]
_DAYS = ["Monday", "Tuesday", "Friday", "today", "next_week", "last_May", "the_third_of_June"]
_FRAMES = (
    "{person} lives in {place} .",
    "{person} moved from {place} to {place} {time} .",
    "{time} {person} met {person} in {place} .",
    "the shares of {firm} fell {time} .",
    "{firm} hired {person} as director .",
    "{firm} opened an office in {place} {time} .",
    "does {person} work for {firm} in {place} ?",
    "it rained in {place} {time} .",
    "nobody in {place} knows {person} .",
    "{person} said that {firm} will leave {place} .",
    "the weather was fine .",
)
_KINDS = {"person": "PER", "place": "LOC", "firm": "ORG", "time": "TIME"}


def _made(count: int, seed: int) -> list[Sentence]:
    rng = np.random.default_rng(seed)

    def pick(some: Sequence[str]) -> str:
        return some[int(rng.integers(len(some)))]

    def named(kind: str) -> list[str]:
        if kind == "person":
            return [pick(_FIRST), pick(_LAST)] if rng.random() < 0.7 else [pick([*_FIRST, *_LAST])]
        return pick({"place": _PLACES, "firm": _FIRMS, "time": _DAYS}[kind]).split("_")

    found = []
    for number in range(count):
        words, tags = list[str](), list[str]()
        for word in pick(_FRAMES).split():
            kind = word.strip("{}")
            parts = named(kind) if word.startswith("{") else [word]
            words += parts
            if word.startswith("{"):
                tags += [f"B-{_KINDS[kind]}", *[f"I-{_KINDS[kind]}"] * (len(parts) - 1)]
            else:
                tags.append("O")
        found.append(Sentence(tuple(words), tuple(tags), number + 1))
    return found


def _bundle(
    sentences: Sequence[Sentence], parts: Sequence[np.ndarray], learning: tuple[int, int, bool], place: str | None
) -> DataBundle:
    size, min_count, lowercase = learning
    known = Counter(word.lower() if lowercase else word for row in parts[0] for word in sentences[row].words)
    vocabulary = counted_vocabulary(known, "word", size, min_count, lowercase)
    ids = {word: number for number, word in enumerate(vocabulary.tokens)}
    names = _tags(sentences, parts, place)
    of_tag = {name: number for number, name in enumerate(names)}
    longest = max(len(sentence.words) for sentence in sentences)
    splits, unknown = {}, {}
    for split, rows in zip(SPLITS, parts, strict=True):
        chosen = [sentences[row] for row in rows]
        words = [ids.get(w.lower() if lowercase else w, vocabulary.unknown) for one in chosen for w in one.words]
        offsets = torch.tensor([0, *np.cumsum([len(one.words) for one in chosen])])
        tags = torch.tensor([of_tag[tag] for one in chosen for tag in one.tags])
        splits[split] = Split(Ragged(torch.tensor(words), offsets), Ragged(tags, offsets), torch.from_numpy(rows))
        unknown[split] = words.count(vocabulary.unknown) / len(words)
    shares = ", ".join(f"{100 * share:.1f} % of {name}" for name, share in unknown.items() if share)
    notes = [f"words that are not in the vocabulary: {shares}"] if shares else []
    lines = np.array([one.line for one in sentences])
    return DataBundle(
        spec=DataSpec(TokenSpec(len(vocabulary), longest, vocabulary), TagSpec(names, longest)),
        splits=splits,
        preprocess=Identity(),
        fingerprint=fingerprint_of(
            np.array([word for one in sentences for word in one.words]),
            np.array([tag for one in sentences for tag in one.tags]),
            lines,
        ),
        preprocessing={"kind": "text", "text": ["tokens"]},
        notes=tuple(notes),
        named=None if place is None else lambda rows: [f"line {lines[row]}" for row in rows],
    )


def _tags(sentences: Sequence[Sentence], parts: Sequence[np.ndarray], place: str | None) -> tuple[str, ...]:
    """The tags of the training split, in alphabetical order. Raises DataError for one that it does not have."""
    names = tuple(sorted({tag for row in parts[0] for tag in sentences[row].tags}))
    if len(names) < 2:
        rule = f"must have two or more different tags, got {', '.join(names)}"
        raise DataError(rule, file=place, remedy="The tag is the last column of a line.", code="too-few-samples")
    for split, rows in zip(SPLITS[1:], parts[1:], strict=True):
        for row in rows:
            other = sorted(set(sentences[row].tags) - set(names))
            if other:
                rule = f"the {split} split has the tag {other[0]}, which no training sentence has"
                remedy = (
                    f"Add sentences with it, or correct it; {counted(len(names), 'tag')}: {', '.join(names[:_NAMED])}"
                )
                raise DataError(rule, file=place, row=sentences[row].line, remedy=remedy)
    return names
