"""Dashes that documents and pages put in place of - and --."""

LONG_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\uff0d"


def begins_with_long_dash(word: str) -> bool:
    """Return whether one of the first two letters of a word is such a dash."""
    return any(letter in LONG_DASHES for letter in word[:2])
