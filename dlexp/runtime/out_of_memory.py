"""When memory runs out: whether an error means that, and the error that says what a person can do."""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress

import torch

from dlexp.errors import OutOfMemory

_GIB = float(1 << 30)
# What torch's allocators say beside raising torch.OutOfMemoryError, which only CUDA's does.
_PHRASES = ("out of memory", "not enough memory", "can't allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out: of Python, of the CPU allocator or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | OutOfMemory):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)


def out_of_memory(error: BaseException, during: str, device: torch.device | None, remedy: str) -> OutOfMemory | None:
    """The error for a person when `error` means that memory ran out, None otherwise; notes on it are kept.

    device  None for the processor's memory, whatever computes
    """
    if not is_out_of_memory(error):
        return None
    where = device or torch.device("cpu")
    advice = f"; try {remedy}" if remedy else ""
    told = OutOfMemory(f"memory ran out in {during} on {where} (peak {peak_memory(where)}){advice}")
    for note in getattr(error, "__notes__", ()):
        told.add_note(note)
    return told


def peak_memory(device: torch.device) -> str:
    """The most memory that this process has had, and what there is: that of the GPU on one, else the resident set."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return f"{torch.cuda.max_memory_allocated(device) / _GIB:.2f} of {total / _GIB:.2f} GiB"
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{used / _GIB:.2f} GiB"


def release_free_memory() -> None:
    """Give pages that the C library holds and nothing uses back to the system, where it can (glibc's malloc_trim)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
