"""Why a file of arrays or tensors cannot be loaded, in dlexp's own words.

torch and NumPy advise to load such a file with `weights_only=False` or `allow_pickle=True`, which runs whatever the
file says. That advice is never repeated.
"""

from __future__ import annotations

import re

_NAMED = re.compile(r"GLOBAL ([A-Za-z_][\w.]{0,99})")
_ADVICE = re.compile(r"weights.only|pickle|object arrays|unsafe|untrusted|trust", re.IGNORECASE)
_MAX_LETTERS = 200
_OBJECTS = "which only unpickling could read, and that could run any code"


def why_not_loaded(error: BaseException) -> str:
    """The reason after the name of a file: `holds Python objects (os.system), which ...`, or what is damaged."""
    text = str(error)
    named = _NAMED.search(text)
    if named is not None:
        return f"holds Python objects ({named[1]}), {_OBJECTS}"
    if _ADVICE.search(text):
        return f"is damaged or holds Python objects, {_OBJECTS}"
    first = text.splitlines()[0] if text else type(error).__name__
    return f"cannot be read: {first[:_MAX_LETTERS]}"


def holds_objects(error: BaseException) -> bool:
    """Whether torch or NumPy refused a file because it may hold Python objects."""
    return _ADVICE.search(str(error)) is not None
