"""The tokens that a network knows: texts to their numbers and back.

A vocabulary is learned from training texts alone and saved with a run, so that a prediction needs nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

UNITS = ("word", "character", "byte", "subword")
PLURALS = {unit: f"{unit}s" for unit in UNITS}  # for people
UNKNOWN, BEGIN, END = "<unknown>", "<begin>", "<end>"
SPECIAL = (UNKNOWN, BEGIN, END)  # the first tokens of every vocabulary, in this order

# A word with its inner apostrophes and hyphens, a number with its marks, or any other sign.
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|\w+(?:['\u2019-]\w+)*|[^\w\s]")
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%\u201d\u2019\u2026")
_NO_SPACE_AFTER = frozenset("([{\u201c\u2018$€£#@")


@dataclass(frozen=True)
class Vocabulary:
    """A fixed map of texts to token ids.

    unit        word, character, byte or subword
    tokens      the V tokens, by their ids; the first three are for unknown tokens, for the beginning and for the end
    definition  of a subword tokenizer, as JSON of the package `tokenizers`; "" for other units
    lowercase   whether texts are read in lower case
    """

    unit: str
    tokens: tuple[str, ...]
    definition: str = ""
    lowercase: bool = False

    @property
    def unknown(self) -> int:
        """Id of a token that training did not have."""
        return 0

    @property
    def begin(self) -> int:
        """Id of the token that a decoder starts from."""
        return 1

    @property
    def end(self) -> int:
        """Id of the token after the last one of a text."""
        return 2

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Ids of the tokens of a text, without `begin` and `end`; unknown ones are `unknown`."""
        given = text.lower() if self.lowercase else text
        if self.unit == "byte":
            return [byte + len(SPECIAL) for byte in given.encode()]
        if self.unit == "subword":
            return [number + len(SPECIAL) for number in self._tokenizer.encode(given).ids]
        return [self._ids.get(token, self.unknown) for token in split_text(given, self.unit)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, up to the first `end`; `begin` is left out, and an unknown token stays visible.

        Words are joined by spaces, except around punctuation: what was between two words of a text is not kept.
        """
        kept = []
        for number in ids:
            if number == self.end:
                break
            if number != self.begin:
                kept.append(int(number))
        if self.unit == "byte":
            return bytes(number - len(SPECIAL) for number in kept if number >= len(SPECIAL)).decode(errors="replace")
        if self.unit == "subword":
            return str(self._tokenizer.decode([number - len(SPECIAL) for number in kept if number >= len(SPECIAL)]))
        texts = [self.tokens[number] for number in kept]
        return "".join(texts) if self.unit == "character" else _join_words(texts)

    @cached_property
    def token_bytes(self) -> tuple[int, ...]:
        """Bytes of UTF-8 that each token stands for, V numbers, for comparisons between vocabularies; special ones: 0.

        Between two words of a text there is a space, which belongs to no token; it is not counted.
        """
        is_bytes = self.unit in ("byte", "subword")  # a character of a token stands for a byte
        counted = (len(token) if is_bytes else len(token.encode()) for token in self.tokens[len(SPECIAL) :])
        return (*(0,) * len(SPECIAL), *counted)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # only with the extra `text`

        return Tokenizer.from_str(self.definition)


def split_text(text: str, unit: str) -> list[str]:
    """The words or characters of a text: punctuation is a word of its own, and spaces are none."""
    return _WORD.findall(text) if unit == "word" else list(text)


def learn_vocabulary(
    texts: Iterable[str], unit: str, size: int = 20_000, min_count: int = 1, lowercase: bool = False
) -> Vocabulary:
    """The vocabulary of training texts.

    Args:
        texts: The training texts.
        unit: word, character, byte or subword.
        size: The largest number of tokens, the three special ones included; the most frequent are kept, and of equally
            frequent ones the first in the alphabet. Bytes always have 259.
        min_count: How often a word or character must occur. Subwords and bytes do not look at it.
        lowercase: Whether texts are read in lower case.

    Raises:
        ValueError: The unit is unknown, or `size` leaves no token besides the special ones.
        ImportError: Subwords need the package `tokenizers`, which is not installed.
    """
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; available: {', '.join(UNITS)}")
    if unit == "byte":
        return Vocabulary(unit, (*SPECIAL, *(chr(number) for number in range(256))), lowercase=lowercase)
    if size <= len(SPECIAL):
        raise ValueError(f"the size of a vocabulary must be above {len(SPECIAL)}, got {size}")
    given = (text.lower() if lowercase else text for text in texts)
    if unit == "subword":
        return _learn_subwords(given, size, lowercase)
    counts = Counter(chain.from_iterable(split_text(text, unit) for text in given))
    return counted_vocabulary(counts, unit, size, min_count, lowercase)


def counted_vocabulary(counts: Counter[str], unit: str, size: int, min_count: int, lowercase: bool) -> Vocabulary:
    """The vocabulary of words or characters that were counted; the arguments are those of `learn_vocabulary`."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    known = [token for token, count in ranked if count >= min_count and token not in SPECIAL]
    return Vocabulary(unit, (*SPECIAL, *known[: size - len(SPECIAL)]), lowercase=lowercase)


def _learn_subwords(texts: Iterable[str], size: int, lowercase: bool) -> Vocabulary:
    """Byte-level byte-pair encoding (Radford et al. 2019), learned by `tokenizers`: no text has an unknown token.

    The special tokens are none of the tokenizer's own, which would find `<end>` in a text that spells it.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=max(size - len(SPECIAL), len(alphabet)),
        special_tokens=[],
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    tokens = (by_id[number] for number in range(len(by_id)))
    return Vocabulary("subword", (*SPECIAL, *tokens), tokenizer.to_str(), lowercase)


def _join_words(words: Sequence[str]) -> str:
    text = ""
    for word in words:
        is_tight = not text or word in _NO_SPACE_BEFORE or text[-1] in _NO_SPACE_AFTER
        text += word if is_tight else f" {word}"
    return text
