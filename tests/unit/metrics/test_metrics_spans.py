"""Entities as the CoNLL evaluation counts them."""

import pytest

from dlexp.metrics.tokens.spans import has_entities, spans


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", []),
        ("B-P I-P O B-P", [("P", 0, 2), ("P", 3, 4)]),
        ("B-P B-P", [("P", 0, 1), ("P", 1, 2)]),
        ("I-P I-P O", [("P", 0, 2)]),  # IOB1
        ("B-P I-L I-L", [("P", 0, 1), ("L", 1, 3)]),
        ("O I-L", [("L", 1, 2)]),
        ("S-P B-P I-P E-P S-L", [("P", 0, 1), ("P", 1, 4), ("L", 4, 5)]),  # IOBES
        ("U-P B-P L-P I-P", [("P", 0, 1), ("P", 1, 3), ("P", 3, 4)]),  # BILOU
        ("", []),
    ],
)
def test_spans(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert list(spans(tags.split())) == found


def test_tags_of_entities_are_known_by_their_names() -> None:
    assert has_entities(["O", "B-PER", "I-PER"])
    assert not has_entities(["O"])
    assert not has_entities(["NOUN", "VERB"])
