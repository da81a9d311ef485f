"""The line of a user's own code that raised an exception, and the error that names it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from dlexp.errors import DlexpError, message_of

SEE_TRACEBACK = "Set DLEXP_DEBUG=1 to see the traceback."


def own_line(error: BaseException, target: str) -> str:
    """Return `file:line` of the innermost frame of `error` in the package of `target`; "" for components of dlexp.

    Args:
        error: A caught exception.
        target: Dotted path of the component that raised it.
    """
    root = target.partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None)
    if root in ("dlexp", "torch", "torchvision", "timm") or file is None:
        return ""
    place = Path(file)
    folder = place.parent if place.name == "__init__.py" else None
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path == place or (folder is not None and folder in path.parents):
            found = f"{frame.filename}:{frame.lineno}"
    return found


def told_with_line(message: str, error: BaseException, target: str) -> str:
    """Return `message` with the line of the user's own code that raised `error`, if there is one."""
    line = own_line(error, target)
    return f"{message} ({line})" if line else message


def failure_of_own_code(error: Exception, packages: Iterable[str]) -> DlexpError | None:
    """Return the error to show for an exception that passed through code of the user; None if it did not.

    Args:
        error: Any exception.
        packages: The packages that are trusted.
    """
    for package in dict.fromkeys(name.partition(".")[0] for name in packages):
        if line := own_line(error, package):
            failure = DlexpError(f"{package} failed: {message_of(error)} ({line}). {SEE_TRACEBACK}")
            failure.__notes__ = list(getattr(error, "__notes__", ()))
            return failure
    return None
