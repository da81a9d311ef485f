"""Whole numbers in English words."""

from __future__ import annotations

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_UNITS = ((10**6, "million"), (1000, "thousand"), (100, "hundred"))


def number_words(number: int) -> str:
    """The words of a number in [0, 10^9), such as `one thousand two hundred and four`. Raises ValueError outside."""
    if not 0 <= number < 10**9:
        raise ValueError(f"must be in [0, 10^9), got {number}")
    if number < len(_SMALL):
        return _SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_SMALL[ones]}" if ones else "")
    for size, name in _UNITS:
        if number >= size:
            count, rest = divmod(number, size)
            words = f"{number_words(count)} {name}"
            joined = " and " if rest < 100 else " "
            return words + (f"{joined}{number_words(rest)}" if rest else "")
    raise AssertionError("every number from 100 on has a unit")
