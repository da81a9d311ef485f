"""Exact tasks: pairs that are drawn here, whose targets follow from their sources by a rule.

Every pair is a function of the keys and of the seed, all sources differ, and a network that has learned the rule makes
no mistake. So what a network gets wrong on the test split is what it has not learned.

Symbols: N pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.data.pairs.bundle import Pairs, bundle_of_pairs
from dlexp.data.pairs.written_dates import dated, draw_spelling
from dlexp.data.pairs.written_numbers import number_words
from dlexp.data.splitting import split_rows
from dlexp.errors import ConfigError, DataError
from dlexp.text.vocabulary import SPECIAL, Vocabulary, learn_vocabulary

__all__ = ["addition", "copy", "dates", "reverse", "sort", "spelled_numbers"]

Drawn = tuple[str, str]  # source and target
_TRIES = 200  # draws for each pair until it is said that there are no more


def copy(
    *,
    length: int = 12,
    vocabulary: int = 20,
    num_samples: int = 10_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Sequences of 1 to `length` symbols, which are to be repeated; see `_symbols`."""
    return _symbols(list, length, vocabulary, num_samples, data_seed, (val_fraction, test_fraction, split_seed))


def reverse(
    *,
    length: int = 12,
    vocabulary: int = 20,
    num_samples: int = 10_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Sequences of 1 to `length` symbols, which are to be put out from the last to the first; see `_symbols`."""

    def backwards(symbols: list[int]) -> list[int]:
        return symbols[::-1]

    return _symbols(backwards, length, vocabulary, num_samples, data_seed, (val_fraction, test_fraction, split_seed))


def sort(
    *,
    length: int = 12,
    vocabulary: int = 20,
    num_samples: int = 10_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Sequences of 1 to `length` numbers, which are to be put out from the smallest to the largest; see `_symbols`."""
    return _symbols(sorted, length, vocabulary, num_samples, data_seed, (val_fraction, test_fraction, split_seed))


def addition(
    *,
    digits: int = 3,
    num_samples: int = 20_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Sums as texts, such as `57+381` and `438`, read character by character.

    digits  largest number of digits of a summand; each number of digits is drawn as often as the others
    """

    def draw(rng: np.random.Generator) -> Drawn:
        first, second = (int(rng.integers(10 ** int(rng.integers(1, digits + 1)))) for _ in range(2))
        return f"{first}+{second}", str(first + second)

    found = _distinct(draw, num_samples, data_seed, "Set another data.digits or data.num_samples.")
    return _of_characters(found, (val_fraction, test_fraction, split_seed))


def dates(
    *,
    num_samples: int = 10_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Dates of 1900 to 2099 in one of seven formats, which are to be written as in ISO 8601, such as 1998-03-14.

    Each date is drawn once, so that no date of the test split was seen in training, in any format.
    Raises ConfigError for more samples than there are days.
    """
    days = dated()
    if num_samples > len(days):
        rule = f"must be at most {len(days)}: each of the days from 1900 to 2099 is drawn once"
        raise ConfigError.one("data.num_samples", num_samples, rule, code="out-of-range")
    rng = np.random.default_rng(data_seed)
    chosen = rng.permutation(len(days))[:num_samples]
    found = [(draw_spelling(days[day], rng), days[day].isoformat()) for day in chosen.tolist()]
    return _of_characters(found, (val_fraction, test_fraction, split_seed))


def spelled_numbers(
    *,
    digits: int = 4,
    num_samples: int = 5_000,
    data_seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
) -> DataBundle:
    """Numbers and their English words, such as `1204` and `one thousand two hundred and four`.

    Sources are read digit by digit, and targets are words.
    digits  largest number of digits; at most 9
    """

    def draw(rng: np.random.Generator) -> Drawn:
        number = int(rng.integers(10 ** int(rng.integers(1, digits + 1))))
        return str(number), number_words(number)

    found = _distinct(draw, num_samples, data_seed, "Set another data.digits or data.num_samples.")
    return _of_characters(found, (val_fraction, test_fraction, split_seed), "word")


def _symbols(
    rule: Callable[[list[int]], list[int]],
    length: int,
    vocabulary: int,
    count: int,
    seed: int,
    split: tuple[float, float, int],
) -> DataBundle:
    """Sequences of the numbers 1 to `vocabulary`, each of 1 to `length` of them; every length is drawn as often.

    Short sequences of few symbols run out, since all differ; then longer ones take their places.
    """

    def draw(rng: np.random.Generator) -> Drawn:
        symbols = rng.integers(1, vocabulary + 1, size=int(rng.integers(1, length + 1))).tolist()
        return " ".join(map(str, symbols)), " ".join(map(str, rule(symbols)))

    found = _distinct(draw, count, seed, "Set another data.length, data.vocabulary or data.num_samples.")
    known = Vocabulary("word", (*SPECIAL, *(str(number) for number in range(1, vocabulary + 1))))
    return _bundle(found, known, known, split)


def _of_characters(found: list[Drawn], split: tuple[float, float, int], target_unit: str = "character") -> DataBundle:
    """The vocabularies are learned from the training split alone, as of any texts."""
    train = split_rows(len(found), split)[0].tolist()
    known = learn_vocabulary((found[row][0] for row in train), "character")
    learned = learn_vocabulary((found[row][1] for row in train), target_unit)
    return _bundle(found, known, learned, split)


def _bundle(found: list[Drawn], known: Vocabulary, learned: Vocabulary, split: tuple[float, float, int]) -> DataBundle:
    rows = split_rows(len(found), split)
    sources, targets = ([known.encode(source) for source, _ in found], [learned.encode(target) for _, target in found])
    return bundle_of_pairs(Pairs(sources, targets, known, learned, found), rows)


def _distinct(draw: Callable[[np.random.Generator], Drawn], count: int, seed: int, remedy: str) -> list[Drawn]:
    """`count` pairs with different sources. Raises DataError where there are not so many."""
    rng = np.random.default_rng(seed)

    def every() -> Iterator[Drawn]:
        for _ in range(_TRIES * count):
            yield draw(rng)

    found: dict[str, str] = {}
    for source, target in every():
        found[source] = target
        if len(found) == count:
            return list(islice(found.items(), count))
    rule = f"there are not {count:,} different sources of this kind; {len(found):,} were found"
    raise DataError(rule, remedy=remedy, code="too-few-samples")
