"""Vocabularies: what is learned, what is unknown, and what comes back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlexp.plain_values import from_plain, to_plain
from dlexp.text.vocabulary import SPECIAL, UNITS, Vocabulary, learn_vocabulary

TEXTS = ("The cat sat, on a mat.", "a dog sat", "Ein Hund: größer!")


@pytest.mark.parametrize("unit", UNITS)
def test_a_known_text_comes_back_and_is_saved(unit: str) -> None:
    made = learn_vocabulary(TEXTS, unit, 300)
    for text in TEXTS:
        assert made.decode(made.encode(text)) == text
        assert made.unknown not in made.encode(text)
    assert made.tokens[: len(SPECIAL)] == SPECIAL
    assert from_plain(Vocabulary, json.loads(json.dumps(to_plain(made)))) == made


@pytest.mark.parametrize("unit", ["byte", "subword"])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_bytes_and_subwords_know_every_text(unit: str, text: str) -> None:
    made = learn_vocabulary(TEXTS, unit, 300)
    ids = made.encode(text)
    assert made.decode(ids) == text
    assert sum(made.token_bytes[number] for number in ids) == len(text.encode())


def test_a_text_that_spells_a_special_token_is_a_text() -> None:
    for unit in UNITS:
        assert not {0, 1, 2} & set(learn_vocabulary(["<end> <begin>"] * 3, unit, 300).encode("<end> <begin>"))


def test_words_beyond_the_size_or_too_rare_are_unknown() -> None:
    made = learn_vocabulary(["b b b a a c", "d"], "word", 5)
    assert made.tokens[3:] == ("b", "a")
    assert made.encode("b c a") == [3, made.unknown, 4]
    assert made.decode([3, made.unknown, made.end, 4]) == "b <unknown>"
    assert learn_vocabulary(["b b a a c"], "word", min_count=2).tokens[3:] == ("a", "b")


def test_lower_case_is_for_learning_and_reading() -> None:
    made = learn_vocabulary(["The THE"], "word", lowercase=True)
    assert made.tokens[3:] == ("the",)
    assert made.encode("tHe") == [3]


def test_other_units_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="'words'; available: word, character"):
        learn_vocabulary(["a"], "words")
    with pytest.raises(ValueError, match="above 3, got 3"):
        learn_vocabulary(["a"], "word", 3)
