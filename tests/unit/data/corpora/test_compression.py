"""The simple models that a language model is read beside."""

import math
import random

import pytest

from dlexp.data.corpora.compression import witten_bell_bits, xz_bits_per_byte
from dlexp.data.corpora.paragraphs import without_repeated


def shares(train: list[int], context: list[int], size: int, order: int) -> list[float]:
    """The probability of each token after a context, by the definition, recursively."""

    def of(token: int, given: tuple[int, ...] | None) -> float:
        if given is None:
            return 1 / size
        places = [n for n in range(len(given), len(train)) if tuple(train[n - len(given) : n]) == given]
        after = [train[n] for n in places]
        shorter = of(token, given[1:] if given else None)
        if not after:
            return shorter
        kinds = len(set(after))
        return (after.count(token) + kinds * shorter) / (len(after) + kinds)

    return [of(token, tuple(context[-(order - 1) :]) if order > 1 else ()) for token in range(size)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_bits_are_those_of_the_definition_and_probabilities_add_up_to_one(order: int) -> None:
    rng = random.Random(0)
    train, held_out = ([rng.randrange(4) for _ in range(n)] for n in (40, 12))
    bits = 0.0
    for place, token in enumerate(held_out):
        found = shares(train, train + held_out[:place], 4, order)
        assert math.isclose(sum(found), 1)
        bits -= math.log2(found[token])
    assert witten_bell_bits(train, held_out, 4, order) == pytest.approx(bits / len(held_out))


def test_a_text_that_was_read_before_costs_xz_little() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("abcdefgh ") for _ in range(4000))
    assert xz_bits_per_byte(text, text[:2000]) < 0.2
    assert xz_bits_per_byte(text, "".join(rng.choice("abcdefgh ") for _ in range(2000))) > 2.5


def test_repeated_paragraphs_are_dropped_and_short_ones_kept() -> None:
    long = "This paragraph is long enough not to be a heading.\nIt has two lines."
    text = f"Title\n\n{long}\n\nTitle\n\n{long.replace(' ', '  ')}\n\nEnd"
    found = without_repeated(text)
    assert found.text == f"Title\n\n{long}\n\nTitle\n\nEnd"
    assert found.paragraphs == 1
    assert found.characters == len(text) - len(found.text)
