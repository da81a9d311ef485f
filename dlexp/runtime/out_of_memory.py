"""Out-of-memory errors: their recognition and their message with a remedy."""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress

import torch

from dlexp.errors import OutOfMemory

_GIB = float(1 << 30)
# Messages of torch's allocators; only that of CUDA raises torch.OutOfMemoryError.
_PHRASES = ("out of memory", "not enough memory", "can't allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` is an out-of-memory error of Python, of the CPU allocator or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)


def out_of_memory(error: BaseException, during: str, device: torch.device | None, remedy: str) -> OutOfMemory | None:
    """An OutOfMemory with a remedy if `error` is an out-of-memory error, else None; its notes are copied.

    Args:
        error: What was raised.
        during: What was done, as a noun.
        device: Where memory ran out; None for the memory of the CPU.
        remedy: KEY=VALUE to try, or "".
    """
    if not is_out_of_memory(error):
        return None
    where = device or torch.device("cpu")
    advice = f". Try {remedy}" if remedy else ""
    found = OutOfMemory(f"out of memory in {during} on {where} (peak {peak_memory(where)}){advice}")
    for note in getattr(error, "__notes__", ()):
        found.add_note(note)
    return found


def peak_memory(device: torch.device) -> str:
    """Peak memory of this process as text: on a GPU with its total, else the resident set."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return f"{torch.cuda.max_memory_allocated(device) / _GIB:.2f} of {total / _GIB:.2f} GiB"
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{used / _GIB:.2f} GiB"


def release_free_memory() -> None:
    """Return unused pages of the C library to the system (glibc's malloc_trim)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
