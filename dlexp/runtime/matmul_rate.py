"""The rate of matrix products on this machine, as a reference for the arithmetic of a network."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from dlexp.runtime.seed import generator

_SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192), "mps": (1024, 2048, 4096)}
_SECONDS = 0.25  # per size, at least one product


def matrix_rate(device: torch.device, dtype: torch.dtype, wait: Callable[[], None]) -> tuple[float, int]:
    """(floating point operations per second, N) of the fastest product of two N x N matrices, with the current threads.

    wait  synchronizes with the device
    """
    best, size = 0.0, 0
    for n in _SIZES.get(device.type, _SIZES["cpu"]):
        left, right = (torch.randn(n, n, generator=generator(0, "matmul", i)).to(device, dtype) for i in (0, 1))
        out = torch.empty_like(left)
        torch.mm(left, right, out=out)  # warm-up: selects a kernel and touches the memory
        wait()
        fastest, first_start = float("inf"), time.perf_counter()
        while time.perf_counter() - first_start < _SECONDS:
            started = time.perf_counter()
            torch.mm(left, right, out=out)
            wait()
            fastest = min(fastest, time.perf_counter() - started)
        if 2 * n**3 / fastest > best:
            best, size = 2 * n**3 / fastest, n
    return best, size
