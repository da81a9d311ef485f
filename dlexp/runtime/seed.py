"""Random numbers as a function of (seed, purpose, position), independent of what ran before.

A resumed run draws the same numbers as an uninterrupted one, and the only state to save is the position.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MASK = (1 << 63) - 1


def derive(seed: int, *purpose: str | int) -> int:
    """A seed for one purpose: 63 bits of a hash of `seed` and `purpose`."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") & _MASK


def nth(seed: int, number: int) -> int:
    """The seed number `number` of a sequence that starts with `seed`: faster than `derive`, without a hash."""
    return (seed + number * 0x9E3779B97F4A7C15) & _MASK


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def numbers(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose, for distributions that torch cannot draw from a given generator."""
    return np.random.default_rng(derive(seed, *purpose))


def seed_global(seed: int, *purpose: str | int) -> None:
    """Seed the generators that code without a generator argument uses: Python's, NumPy's and torch's."""
    value = derive(seed, *purpose)
    random.seed(value)
    np.random.seed(value % (1 << 32))
    seed_step(value)


def seed_step(value: int) -> None:
    """Seed torch's own generators (dropout draws from them); microseconds, so that every step can do it."""
    torch.default_generator.manual_seed(value)
    if _has_cuda():
        torch.cuda.manual_seed_all(value)


def seed_generator(generator: torch.Generator, value: int) -> None:
    """Seed a generator so that it draws what torch's own would after `seed_step` with this value."""
    generator.manual_seed(value)


def order(count: int, seed: int, epoch: int, attempt: int = 0) -> Tensor:
    """The order of the training samples in an epoch: (count,) int64, a permutation; it differs between attempts."""
    again = ("attempt", attempt) if attempt else ()
    return torch.randperm(count, generator=generator(seed, "order", epoch, *again))


def uniforms(seed: int, epoch: int, rows: Tensor, draws: int, purpose: str = "sample") -> Tensor:
    """Random numbers per sample, independent of batch and worker.

    rows (B,) int64 sample numbers -> (B, draws) float32 in [0, 1), a hash of (seed, purpose, epoch, row, draw):
    splitmix64 (Steele et al. 2014), whose wrapping multiplications torch's int64 does as they are.
    """
    start = torch.tensor(derive(seed, purpose, epoch), dtype=torch.int64, device=rows.device)
    column = torch.arange(1, draws + 1, dtype=torch.int64, device=rows.device)
    bits = _mix(start + rows[:, None] * _signed(0x9E3779B97F4A7C15))
    bits = _mix(bits + column[None, :] * _signed(0xD1B54A32D192ED03))
    return ((bits >> 40) & 0xFFFFFF).float() / float(1 << 24)


def global_state(taken: Any = None) -> dict[str, Any]:
    """States of Python's and NumPy's generators as tensors and plain values, for user components that draw from them.

    taken  (random.getstate(), np.random.get_state(legacy=True)) saved earlier, None for the current states
    """
    (version, words, gauss), numpys = taken or (random.getstate(), np.random.get_state(legacy=True))
    name, keys, position, has_gauss, cached = numpys
    numpy_state = [str(name), _as_tensor(keys), int(position), int(has_gauss), float(cached)]
    return {"python": [version, _words_tensor(words), gauss], "numpy": numpy_state}


def set_global_state(state: dict[str, Any]) -> None:
    """Restore the generators from a result of `global_state`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))


@lru_cache(maxsize=1)
def _words_tensor(words: tuple[int, ...]) -> Tensor:
    """The words as a tensor, cached: Python's generator is saved after every epoch and rarely used."""
    return _as_tensor(words)


def _as_tensor(words: Any) -> Tensor:
    """The 32-bit words of a generator as an int64 tensor, which is copied and saved faster than a list."""
    return torch.from_numpy(np.array(words, dtype=np.int64))


@contextmanager
def kept_randomness(everywhere: bool = True) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch after the body; of torch alone unless `everywhere`."""
    others = (random.getstate(), np.random.get_state(legacy=True)) if everywhere else None
    cpu = torch.get_rng_state()
    # A GPU that is not initialized has no state to save, and reading it would initialize the GPU.
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        if others is not None:
            random.setstate(others[0])
            np.random.set_state(others[1])
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


@cache
def _has_cuda() -> bool:
    return torch.cuda.is_available()


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's own on int64 keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
