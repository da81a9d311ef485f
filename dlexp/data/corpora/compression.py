"""What models without a network predict of a text: figures that a language model is read beside.

Sources: J. G. Cleary and I. H. Witten, "Data compression using adaptive coding and partial string matching", 1984;
I. H. Witten and T. C. Bell, "The zero-frequency problem", 1991.
"""

from __future__ import annotations

import lzma
from collections import defaultdict
from collections.abc import Sequence
from math import log2

_XZ = 9 | lzma.PRESET_EXTREME


def xz_bits_per_byte(train: str, held_out: str) -> float:
    """Bits that xz needs for each byte of UTF-8 of `held_out`, when it has seen `train` before."""
    before, after = (len(lzma.compress(text.encode(), preset=_XZ)) for text in (train, train + held_out))
    return 8 * (after - before) / max(1, len(held_out.encode()))


def witten_bell_bits(train: Sequence[int], held_out: Sequence[int], vocabulary_size: int, order: int = 5) -> float:
    """Bits of each token of `held_out` by counts of `order`-grams of `train`, smoothed after Witten and Bell.

    The probability of a token after a context is that of its counts, mixed with the probability after the context
    without its first token: the share of the shorter one is the number of kinds of tokens that followed, over that and
    the number of all tokens that followed. The shortest context gives every token of the vocabulary the same
    probability. Counts are of `train` alone; the first tokens of `held_out` follow the last ones of `train`.

    Args:
        train: Token ids in order.
        held_out: Token ids that follow; at least one.
        vocabulary_size: How many tokens there are.
        order: Tokens of the longest context, and the token.
    """
    counts: list[dict[tuple[int, ...], dict[int, int]]] = [defaultdict(dict) for _ in range(order)]
    tokens = list(train)
    for place, token in enumerate(tokens):
        for size in range(min(order - 1, place) + 1):
            after = counts[size][tuple(tokens[place - size : place])]
            after[token] = after.get(token, 0) + 1
    totals = [{context: sum(after.values()) for context, after in level.items()} for level in counts]
    tokens += held_out
    bits = 0.0
    for place in range(len(tokens) - len(held_out), len(tokens)):
        token, share = tokens[place], 1 / vocabulary_size
        for size in range(min(order - 1, place) + 1):
            context = tuple(tokens[place - size : place])
            after = counts[size].get(context, {})
            if not after:
                break
            total, kinds = totals[size][context], len(after)
            share = (after.get(token, 0) + kinds * share) / (total + kinds)
        bits -= log2(share)
    return bits / len(held_out)
