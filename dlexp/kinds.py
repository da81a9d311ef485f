"""Kinds of data by name, and their words for people; imported where torch is not.

A component of the user may add a kind under any other name: see `dlexp.types.InputSpec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

INPUTS: Mapping[str, str] = {
    "image": "images (channels, height, width)",
    "tabular": "tables (rows of numbers)",
    "tokens": "sequences of token ids",
    "series": "time series (steps, channels)",
}
NO_TARGETS = "none"  # the kind of data that have no targets
TARGETS: Mapping[str, str] = {
    "class": "classes",
    "value": "numbers",
    "labels": "sets of labels",
    "mask": "masks (a class for each pixel)",
    "boxes": "boxes with classes",
    "tokens": "sequences of token ids",
    "tags": "a class for each position of a sequence",
    "next_tokens": "the next token at each position",
    "forecast": "the next steps of a series",
    "captions": "texts that describe images",
    "image": "images (channels, height, width)",
    NO_TARGETS: "no targets",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def describe_kind(kind: str) -> str:
    """The words for a kind; one of the user's own is named as it is."""
    return INPUTS.get(kind) or TARGETS.get(kind) or f"data of kind {kind!r}"


def kinds_of(declared: object) -> tuple[str, ...]:
    """The kinds that an option declares under `_inputs_` or `_targets_`: one, or a list of them; () for all kinds."""
    if declared is None:
        return ()
    return tuple(map(str, declared)) if isinstance(declared, list | tuple) else (str(declared),)


def describe_kinds(kinds: Sequence[str]) -> str:
    """The words for several kinds, joined by `or`."""
    *first, last = map(describe_kind, kinds)
    return f"{', '.join(first)} or {last}" if first else last


def is_kind_name(value: object) -> bool:
    """Whether `value` can be the name of a kind, known or the user's own: letters, digits and underscores."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
