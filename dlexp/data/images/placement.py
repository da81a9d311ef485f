"""Images that some reader gives: kept in memory as they are where they fit, streamed where they do not.

Symbols: N samples, B samples of a piece, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import SPLITS, Split
from dlexp.data.columns import Dense
from dlexp.data.images.decoding import Failure
from dlexp.data.splitting import Rows
from dlexp.data.streaming import Reader, Stream, Streamed
from dlexp.errors import DataError
from dlexp.runtime.memory_budget import available_memory

_SHARE = 0.5  # of the memory that is free: what samples may take
_MEASURED = 2000  # training samples whose mean and deviation stand for all; both are then known to about 1 %
_PIECE = 64  # samples that a thread takes at a time

T = TypeVar("T")
U = TypeVar("U")


class ImageReader(Reader[Tensor], Protocol):
    """Reads images, all of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""

    @property
    def dtype(self) -> torch.dtype:
        """torch.uint8, or torch.float32."""

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """(B,) sample numbers -> (B, C, H, W). Raises DataError that names the file which cannot be read."""

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The images of `rows` that can be read, (at most B, C, H, W), and those that cannot."""

    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for images that cannot be read."""


@dataclass(frozen=True)
class Placement:
    """Where the samples are while the run goes on.

    in_memory  True, False, or auto: where they take at most half of the memory that is free
    workers    processes that read ahead where samples are streamed: a number, or auto
    """

    in_memory: bool | str = "auto"
    workers: int | str = "auto"

    def keeps(self, size: int) -> bool:
        """Whether samples of `size` bytes in all are kept."""
        return size <= _SHARE * available_memory() if self.in_memory == "auto" else bool(self.in_memory)

    def place(
        self, reader: ImageReader, targets: NDArray[np.generic] | None, rows: Sequence[Rows]
    ) -> tuple[dict[str, Split], list[str]]:
        """(the splits, what a person should know).

        targets  (N, ...) of all samples, None without any
        rows     numbers of the samples of train, val and test
        Raises DataError with every sample that cannot be read, where they are kept.
        """
        count = sum(map(len, rows))
        size = count * prod(reader.shape) * reader.dtype.itemsize
        if self.keeps(size):
            return _kept(reader, targets, rows), []
        stream = Stream(reader, None if self.workers == "auto" else int(self.workers))
        splits = {
            name: Split(
                Streamed(stream, part, tuple(reader.shape), reader.dtype),
                None if targets is None else Dense(torch.from_numpy(targets[part])),
                torch.from_numpy(part),
            )
            for name, part in zip(SPLITS, rows, strict=True)
        }
        if self.in_memory != "auto":
            return splits, []
        note = (
            f"{count:,} images would take {size / 2**30:.1f} GiB, more than half of the "
            f"{available_memory() / 2**30:.1f} GiB of memory free: they are read while they are used "
            "(data.in_memory=true keeps them)"
        )
        return splits, [note]


def some_of(rows: Rows) -> Rows:
    """Training samples that stand for all when mean and deviation are measured: at most 2,000, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(_MEASURED, len(rows))).round().astype(np.int64)]


def read_some(reader: ImageReader, rows: Rows) -> Iterator[Tensor]:
    """The images of `rows` piece by piece: the same whether they are kept or streamed, so that both give one mean."""
    return in_threads(reader.read, pieces(rows))


def _kept(reader: ImageReader, targets: NDArray[np.generic] | None, rows: Sequence[Rows]) -> dict[str, Split]:
    """The splits in memory, decoded straight into their places. Raises DataError with every damaged file."""
    splits, failures = {}, list[Failure]()
    for name, part in zip(SPLITS, rows, strict=True):
        inputs = torch.empty((len(part), *reader.shape), dtype=reader.dtype).to(memory_format=torch.channels_last)
        start = 0
        for images, damaged in in_threads(reader.attempt, pieces(part)):
            inputs[start : start + len(images)] = images
            start += len(images)
            failures += damaged
        learned = None if targets is None else torch.from_numpy(targets[part])
        splits[name] = Split.in_memory(inputs, learned, torch.from_numpy(part))
    if failures:
        raise reader.refusal(sorted(failures))
    return splits


def pieces(rows: Rows) -> list[Rows]:
    """`rows` in parts that are worth a thread's while."""
    return [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]


def in_threads(work: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """`work` of each item, in their order, by as many threads as there are cores; decoders let others run."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        waiting: deque[Future[U]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 4 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
