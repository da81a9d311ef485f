"""Kinds of data by name, and their words for people; imported where torch is not.

A component of the user may add a kind under any other name: see `dlexp.types.InputSpec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    NO_TARGETS: "no targets",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def describe_kind(kind: str) -> str:
    """The words for a kind; one of the user's own is named as it is."""
    return INPUTS.get(kind) or TARGETS.get(kind) or f"data of kind {kind!r}"


def is_kind_name(value: object) -> bool:
    """Whether `value` can be the name of a kind, known or the user's own: letters, digits and underscores."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
