"""The default settings of matplotlib, independent of the environment and the user's files.

MPLBACKEND, which every shell started from Jupyter has, may name a module that is not installed here: matplotlib's
import then fails. A matplotlibrc may ask for LaTeX, for another file format or for colors in which nothing can be read.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_OF_WINDOWS = (
    "backend",
    "backend_fallback",
    "interactive",
    "toolbar",
)  # irrelevant for figures, and possibly used by the calling program


@contextmanager
def default_settings() -> Iterator[None]:
    """A context with the default settings of matplotlib; the previous ones are restored afterwards.

    The figures of this package use the Agg canvas, so that no backend is loaded.
    """
    is_first, hidden = "matplotlib" not in sys.modules, os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if hidden is not None:
            os.environ["MPLBACKEND"] = hidden
    if is_first and hidden is not None:
        with suppress(ValueError):  # what matplotlib would have done with it; a notebook shows its plots by it
            matplotlib.rcParams["backend"] = hidden
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
            values = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in _OF_WINDOWS}
            matplotlib.rcParams.update(values)
        yield
