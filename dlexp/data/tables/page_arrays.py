"""Arrays whose memory goes back to the system as soon as they are freed.

What a process frees in pieces of a few megabytes usually stays with it, for its next pieces: where a table is turned
from columns into features, both would count. Arrays in pages of their own are given back one by one.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SMALL = 1 << 20  # bytes below which pages of their own are not worth it


def page_array(shape: int | tuple[int, ...], dtype: DTypeLike, in_turn: bool = True) -> NDArray[Any]:
    """An array without values; pages that are never written need no memory, also not where the rest is written.

    shape    of at least one number
    in_turn  whether it is written from the beginning to the end, so that the system may use large pages
    """
    sizes = (shape,) if isinstance(shape, int) else shape
    kind = np.dtype(dtype)
    size = prod(sizes) * kind.itemsize
    if size < _SMALL or not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(sizes, dtype=kind)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if in_turn and hasattr(pages, "madvise") and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, dtype=kind).reshape(sizes)
