"""Reasons why a file of arrays or tensors cannot be loaded, without the advice of torch and NumPy.

They advise `weights_only=False` or `allow_pickle=True`, which executes code from the file.
"""

from __future__ import annotations

import re

_NAMED = re.compile(r"GLOBAL ([A-Za-z_][\w.]{0,99})")
_ADVICE = re.compile(r"weights.only|pickle|object arrays|unsafe|untrusted|trust", re.IGNORECASE)
_MAX_LETTERS = 200
_OBJECTS = "which require unpickling, and that can run arbitrary code"


def why_not_loaded(error: BaseException) -> str:
    """A phrase that follows the name of a file: `contains Python objects (os.system), which ...`, or the damage."""
    text = str(error)
    named = _NAMED.search(text)
    if named is not None:
        return f"contains Python objects ({named[1]}), {_OBJECTS}"
    if _ADVICE.search(text):
        return f"is corrupted or contains Python objects, {_OBJECTS}"
    first = text.splitlines()[0] if text else type(error).__name__
    return f"cannot be read: {first[:_MAX_LETTERS]}"


def holds_objects(error: BaseException) -> bool:
    """Return whether torch or NumPy rejected a file because it may contain Python objects."""
    return _ADVICE.search(str(error)) is not None
