"""Entities in sequences of tags: B-KIND begins one, I-KIND goes on; S- is one of a single position, E- ends one.

The rules are those of the CoNLL evaluation: an I-KIND that follows no tag of its kind begins an entity, and a tag of
another kind ends one. Source: E. F. Tjong Kim Sang and F. De Meulder, "Introduction to the CoNLL-2003 shared task".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_OUTSIDE = "O"
_BEGINS, _ENDS = "BSU", "ESL"  # the letters of IOBES and of BILOU


def has_entities(names: Sequence[str]) -> bool:
    """Whether the names of tags are those of entities: O, and a letter and a kind joined by a hyphen."""
    kinds = [name for name in names if name != _OUTSIDE]
    return bool(kinds) and all(len(name) > 2 and name[0] in "BIESLU" and name[1] == "-" for name in kinds)


def spans(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield (kind, first position, position after the last one) of each entity."""
    kind, begun = "", 0
    for place, tag in enumerate([*tags, _OUTSIDE]):
        letter, _, own = tag.partition("-")
        goes_on = bool(kind) and own == kind and letter not in _BEGINS
        if kind and not goes_on:
            yield kind, begun, place
            kind = ""
        if own and not goes_on:
            kind, begun = own, place
        if kind and letter in _ENDS:
            yield kind, begun, place + 1
            kind = ""
