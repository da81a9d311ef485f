"""Samples that are read while they are used: worker processes read ahead, and the bits never depend on them.

A worker answers requests: the numbers of some samples, and the random changes of the epoch, which are a function of
(seed, epoch, sample). So any worker, or the process itself, gives the same answer, in the order of the requests.
Inputs and targets that are both read while they are used come from the same workers, so that masks and boxes move with
their images there.

Symbols: B samples of a request.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dlexp.data.columns import Piece, Transform
from dlexp.errors import DataError, DlexpError
from dlexp.runtime.helper_process import become_helper
from dlexp.runtime.seed import generator
from dlexp.types import Field, to_device

Values = TypeVar("Values", bound=Field)
Read = TypeVar("Read", bound=Field, covariant=True)
# Numbers of samples, those of their targets where these are read too, and the changes to both.
Request = tuple[NDArray[np.int64], NDArray[np.int64] | None, Transform | None]

_MOST_WORKERS = 8  # of workers=auto: a GPU is rarely faster, and each costs memory
_AHEAD = 2  # requests that each worker may be ahead
_MORE_THAN_CORES = "This DataLoader will create"  # worker processes than cores: where the user wants them


class Reader(Protocol[Read]):
    """Reads samples from where they are stored."""

    def read(self, rows: NDArray[np.int64]) -> Read:
        """(B,) sample numbers -> B values. Raises DataError that names the file which cannot be read."""


@dataclass(frozen=True)
class _Answers(Dataset[Any]):
    """Request -> values; an error comes back as a value, so that it arrives without the traceback of a worker."""

    reader: Reader[Field]
    targets: Reader[Field] | None = None

    def __getitem__(self, request: Request) -> Field | tuple[Field, Field] | DataError:
        numbers, of_targets, transform = request
        learned: Field | None = None
        try:
            values = self.reader.read(numbers)
            if self.targets is not None and of_targets is not None:
                learned = self.targets.read(of_targets)
        except DataError as error:
            return error
        if transform is not None:
            values, learned = transform(values, learned, torch.from_numpy(numbers))
        return values if learned is None else (values, learned)


class _Requests(Sampler[Request]):
    """The requests that the workers go through; others for each reading."""

    def __init__(self) -> None:
        self.waiting: Sequence[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.waiting)


class Stream(Generic[Values]):
    """Reads ahead with worker processes that live as long as it does, or until the end of the process.

    workers  how many; None for one for each thread that torch may use here, 8 at most; 0 reads in this process
    targets  reads the targets of the same samples; an answer is then a pair
    """

    def __init__(self, reader: Reader[Values], workers: int | None, targets: Reader[Any] | None = None) -> None:
        self._answers = _Answers(reader, targets)
        self._pairs: Stream[Any] | None = None
        self._workers = workers
        self._requests = _Requests()
        self._loader: DataLoader[Any] | None = None
        self._iterator: Any = None
        self._turn = object()

    def with_targets(self, targets: Stream[Any]) -> Stream[Any]:
        """The stream of the pairs of what this one and `targets` read, with as many workers as this one."""
        reader = targets._answers.reader
        if self._pairs is None or self._pairs._answers.targets is not reader:
            self._pairs = Stream(self._answers.reader, self._workers, reader)
        return self._pairs

    def read(self, requests: Sequence[Request], pin: bool = False) -> Iterator[Values]:
        """The values of each request in turn, in pinned memory if `pin`.

        Raises DataError for a file that cannot be read, DlexpError when a worker was ended from outside.
        """
        turn = self._turn = object()
        count = min(_MOST_WORKERS, torch.get_num_threads()) if self._workers is None else self._workers
        ahead = self._begin(requests, count, pin) if count and len(requests) > 1 else None
        for request in requests:
            # Whoever begins to read has the workers from then on; an older reading goes on without them.
            with_workers = ahead is not None and self._turn is turn
            answer: Any = _next(ahead) if with_workers else self._answers[request]
            if isinstance(answer, DataError):
                raise answer
            if pin and not with_workers:
                answer = tuple(map(_pinned, answer)) if isinstance(answer, tuple) else _pinned(answer)
            yield answer

    def close(self) -> None:
        """End the workers; the next reading starts others."""
        iterator, self._iterator, self._loader = self._iterator, None, None
        if self._pairs is not None:
            self._pairs.close()
        if iterator is not None:
            self._turn = object()
            # Python's own end of helper processes sends a signal, which these ignore, and waits.
            iterator._shutdown_workers()

    def _begin(self, requests: Sequence[Request], count: int, pin: bool) -> Any:
        """The answers of the workers, which start now where there are none."""
        if self._loader is not None and self._loader.pin_memory != pin:
            self.close()
        if self._loader is None:
            self._loader = self._started(count, pin)
            _STREAMS.add(self)
        self._requests.waiting = requests
        before = signal.getsignal(signal.SIGCHLD)
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork beside threads; a worker waits for no thread and no lock of its parent.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", _MORE_THAN_CORES, UserWarning)
            self._iterator = iter(self._loader)
        if threading.current_thread() is threading.main_thread():
            # The loader's own handler raises wherever the program happens to be, in the middle of an update too;
            # without it the end of a worker is noticed when its answer is missing.
            signal.signal(signal.SIGCHLD, before)
        return self._iterator

    def _started(self, count: int, pin: bool) -> DataLoader[Any]:
        is_main = threading.current_thread() is threading.main_thread()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _MORE_THAN_CORES, UserWarning)
            return DataLoader(
                self._answers,
                batch_size=None,
                sampler=self._requests,
                num_workers=count,
                collate_fn=_as_it_is,
                pin_memory=pin,
                worker_init_fn=partial(_become_worker, os.getpid(), is_main),
                # A fork takes milliseconds and a new interpreter seconds; only Linux forks safely.
                multiprocessing_context=multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn"),
                generator=generator(0, "stream"),  # nothing draws from it, but without one the loader takes torch's own
                prefetch_factor=_AHEAD,
                persistent_workers=True,
            )


@dataclass(frozen=True)
class Streamed:
    """Values that stay where they are stored and are read while they are used.

    stream   what reads them, shared by the splits of a bundle
    numbers  (N,) the sample's number in the source, always on the CPU
    shape    of one value; None where values differ in shape
    dtype    of a value
    device   where `read` puts them
    """

    stream: Stream[Any]
    numbers: NDArray[np.int64]
    shape: tuple[int, ...] | None
    dtype: torch.dtype
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __len__(self) -> int:
        return len(self.numbers)

    def to(self, device: torch.device) -> Streamed:
        """The same column, whose values come on `device`."""
        return replace(self, device=device)

    def read(self, pieces: Iterable[Piece], transforms: Sequence[Transform | None] | None = None) -> Iterator[Field]:
        """The values of each piece in turn, on the column's device, after its transform, which needs no targets."""
        changes = repeat(None) if transforms is None else transforms
        requests: list[Request] = [(self._numbers(piece), None, one) for piece, one in zip(pieces, changes)]  # noqa: B905 - no end
        for values in self.stream.read(requests, pin=self.device.type == "cuda"):
            yield _on(values, self.device)

    def read_with(
        self, targets: Streamed, pieces: Iterable[Piece], transforms: Sequence[Transform | None]
    ) -> Iterator[tuple[Field, Field]]:
        """The values of each piece in turn and their `targets`, each on its column's device, after its transform."""
        requests: list[Request] = [
            (self._numbers(piece), targets._numbers(piece), one) for piece, one in zip(pieces, transforms, strict=True)
        ]
        stream = self.stream.with_targets(targets.stream)
        for values, learned in stream.read(requests, pin=self.device.type == "cuda"):
            yield _on(values, self.device), _on(learned, targets.device)

    def _numbers(self, piece: Piece) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self.numbers[piece if isinstance(piece, slice) else piece.cpu().numpy()]
        return found


def _become_worker(parent: int, by_main_thread: bool, number: int) -> None:
    become_helper(parent, by_main_thread)
    warnings.simplefilter("ignore")  # every file was looked at before, and a terminal has one reader


def _on(values: Field, device: torch.device) -> Field:
    """`values` on `device`; those in pinned memory are copied while the program continues."""
    if isinstance(values, Tensor):
        return values.to(device, non_blocking=True)
    return to_device(values, device)


def _pinned(values: Field) -> Field:
    return values.pin_memory() if isinstance(values, Tensor) else values


def _as_it_is(answer: Any) -> Any:
    return answer


def _next(answers: Any) -> Any:
    try:
        return next(answers)
    except (RuntimeError, ConnectionError, FileNotFoundError, EOFError) as error:
        # A worker that ends while it hands over an answer is seen by the broken connection first.
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DlexpError(
            f"a data worker process ended unexpectedly ({reason}), possibly for lack of memory. Set data.workers=0"
        ) from error


_STREAMS: WeakSet[Stream[Any]] = WeakSet()
_OF_PARENT: list[Any] = []  # loaders that a fork has inherited: to collect them would end the workers of the parent


def _forget_those_of_the_parent() -> None:
    for stream in _STREAMS:
        _OF_PARENT.append((stream._loader, stream._iterator))
        stream._loader = stream._iterator = None


def _close_all() -> None:
    for stream in list(_STREAMS):
        stream.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_those_of_the_parent)
atexit.register(_close_all)  # after torch has registered its own, so that it comes before
