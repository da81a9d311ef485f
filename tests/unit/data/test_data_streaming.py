"""Streaming: the same bits whoever reads, and workers that end with whom they work for and hear nobody else."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_toys import write_folder
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.data.sources.image_folder import image_folder
from dlexp.data.streaming import Request, Stream, Streamed
from dlexp.errors import DataError, DlexpError
from dlexp.types import Batch, as_tensor

CPU = torch.device("cpu")
SECONDS = 20.0  # after which something that should happen at once has not happened


class Numbers:
    """A reader whose samples tell their number, the process and the threads that read them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        if 13 in rows:
            raise DataError("cannot be read", file="13.jpg", remedy="delete it")
        time.sleep(self.seconds)
        facts = torch.tensor([os.getpid(), torch.get_num_threads()])
        return torch.cat([torch.from_numpy(rows)[:, None], facts.expand(len(rows), 2)], dim=1)


def requests(count: int, first: int = 100) -> list[Request]:
    return [(np.arange(first + 2 * n, first + 2 * n + 2), None, None) for n in range(count)]


def numbers(answers: list[Tensor]) -> list[int]:
    return [int(number) for answer in answers for number in answer[:, 0]]


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that waits for its parent to notice has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def stream() -> Iterator[Stream[Tensor]]:
    made = Stream(Numbers(), 2)
    yield made
    made.close()


def workers_of(answers: list[Tensor]) -> set[int]:
    return {int(answer[0, 1]) for answer in answers}


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(getattr(a, name), getattr(b, name)) and as_tensor(a.inputs).stride() == as_tensor(b.inputs).stride()
        for a, b in zip(one, other, strict=True)
        for name in ("inputs", "targets", "indices")
    )


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Any, DataBundle]]:
    """The same folder kept in memory, and streamed by 0, 1 and 2 workers."""
    root = str(write_folder(tmp_path_factory.mktemp("images") / "pets", per_class=12, size=40))
    made: dict[Any, DataBundle] = {
        "kept": image_folder(path=root, image_size=32, in_memory=True, augment="crop_flip", pad=3)
    }
    for count in (0, 1, 2):
        made[count] = image_folder(path=root, image_size=32, in_memory=False, workers=count, augment="crop_flip", pad=3)
    yield made
    for count in (0, 1, 2):
        column = made[count].splits["train"].inputs
        assert isinstance(column, Streamed)
        column.stream.close()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_bits_do_not_depend_on_who_reads(bundles: dict[Any, DataBundle], count: int) -> None:
    kept, streamed = TrainBatches(bundles["kept"], 5, 3, CPU), TrainBatches(bundles[count], 5, 3, CPU)
    assert len(streamed) == len(kept) == 6
    for epoch in (0, 1):
        whole = list(kept.epoch(epoch))
        assert same(list(streamed.epoch(epoch)), whole)
        for first in (1, 4, 6):
            assert same(list(streamed.epoch(epoch, first)), whole[first:])
    assert same(list(streamed.epoch(1, 2, attempt=1)), list(kept.epoch(1, 2, attempt=1)))
    for split in ("train", "val", "test"):
        assert same(*(list(EvalBatches(bundles[who], split, 2, CPU)) for who in ("kept", count)))


def test_augmentation_is_there(bundles: dict[Any, DataBundle]) -> None:
    train = TrainBatches(bundles[2], 24, 3, CPU)
    by_epoch = [
        {
            int(row): image
            for batch in train.epoch(epoch)
            for row, image in zip(batch.indices, as_tensor(batch.inputs), strict=True)
        }
        for epoch in (0, 1)
    ]
    differ = [not torch.equal(by_epoch[0][row], by_epoch[1][row]) for row in by_epoch[0]]
    assert sum(differ) > len(differ) * 0.8


def test_workers_read_in_order_with_one_thread_each_and_stay(stream: Stream[Tensor]) -> None:
    first, second = list(stream.read(requests(9))), list(stream.read(requests(7, first=300)))
    assert numbers(first) == list(range(100, 118))
    assert numbers(second) == list(range(300, 314))
    assert len(workers_of(first)) == 2
    assert workers_of(second) == workers_of(first)
    assert os.getpid() not in workers_of(first)
    assert {int(answer[0, 2]) for answer in first} == {1}


def test_no_workers_for_nothing(stream: Stream[Tensor]) -> None:
    assert workers_of(list(stream.read(requests(1)))) == {os.getpid()}
    assert workers_of(list(Stream(Numbers(), 0).read(requests(5)))) == {os.getpid()}


def test_auto_is_a_worker_for_each_thread_of_torch() -> None:
    stream = Stream(Numbers(), None)
    assert torch.get_num_threads() == 1
    assert len(workers_of(list(stream.read(requests(6))))) == 1
    stream.close()


def test_the_newest_reading_has_the_workers_and_an_older_one_goes_on_all_the_same(stream: Stream[Tensor]) -> None:
    old = stream.read(requests(9))
    begun = [next(old) for _ in range(3)]
    new = stream.read(requests(4, first=300))
    assert numbers([next(new)]) == [300, 301]
    rest = list(old)
    assert numbers(begun + rest) == list(range(100, 118))
    assert workers_of(rest) == {os.getpid()}
    assert numbers(list(new)) == list(range(302, 308))
    assert numbers(list(stream.read(requests(3)))) == list(range(100, 106))


def test_reading_that_is_given_up_leaves_no_trace(stream: Stream[Tensor]) -> None:
    given_up = stream.read(requests(50))
    next(given_up)
    del given_up
    assert numbers(list(stream.read(requests(4, first=300)))) == list(range(300, 308))


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_names_the_file_and_the_workers_go_on(count: int) -> None:
    stream = Stream(Numbers(), count)
    with pytest.raises(DataError) as caught:
        list(stream.read(requests(9, first=10)))
    assert str(caught.value) == "13.jpg: cannot be read; delete it"
    assert (caught.value.file, caught.value.remedy) == ("13.jpg", "delete it")
    assert numbers(list(stream.read(requests(3)))) == list(range(100, 106))
    stream.close()


def test_workers_draw_nothing_from_the_generators_of_the_run(stream: Stream[Tensor]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    list(stream.read(requests(4)))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_that_stop_a_run_are_the_parents_affair(stream: Stream[Tensor], number: signal.Signals) -> None:
    pids = workers_of(list(stream.read(requests(4))))
    for pid in pids:
        os.kill(pid, number)
    assert workers_of(list(stream.read(requests(8)))) == pids


def test_workers_end_when_they_are_closed_or_forgotten() -> None:
    for close in (True, False):
        stream = Stream(Numbers(), 2)
        pids = workers_of(list(stream.read(requests(4))))
        assert not any(map(is_gone, pids))
        if close:
            stream.close()
            assert all(map(is_gone, pids))
            again = workers_of(list(stream.read(requests(4))))
            assert not again & pids
            stream.close()
        else:
            del stream
            gc.collect()
            wait_until(lambda ended=pids: all(map(is_gone, ended)))  # type: ignore[misc]


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """(process, pipe to read from) of a child that does `work` with the other end of the pipe."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        os.close(read)
        work(write)
    finally:
        os._exit(1)


def test_workers_die_with_a_parent_that_is_killed() -> None:
    def work(pipe: int) -> None:
        stream = Stream(Numbers(), 2)
        answers = stream.read(requests(100))
        pids = workers_of([next(answers) for _ in range(6)])
        os.write(pipe, ",".join(map(str, pids)).encode())
        time.sleep(SECONDS)

    parent, pipe = forked(work)
    pids = [int(word) for word in os.read(pipe, 1000).split(b",")]
    assert len(pids) == 2
    assert not any(map(is_gone, pids))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_until(lambda: all(map(is_gone, pids)))
    assert os.read(pipe, 1) == b""  # they held no end of it either, which a study waits for
    os.close(pipe)


def test_a_fork_that_inherits_a_stream_has_workers_of_its_own(stream: Stream[Tensor]) -> None:
    mine = stream.read(requests(30))
    pids = workers_of([next(mine) for _ in range(4)])

    def work(pipe: int) -> None:
        own = workers_of(list(stream.read(requests(4))))
        gc.collect()
        stream.close()
        os.write(pipe, b"own" if own and not own & pids and os.getpid() not in own else b"not")

    child, pipe = forked(work)
    assert os.read(pipe, 3) == b"own"
    os.waitpid(child, 0)
    os.close(pipe)
    rest = list(mine)
    assert len(rest) == 26
    assert workers_of(rest) == pids  # the child's end was not theirs


def test_a_worker_that_is_killed_is_told_and_not_in_the_middle_of_something_else() -> None:
    stream = Stream(Numbers(0.01), 2)
    before = signal.getsignal(signal.SIGCHLD)
    answers = stream.read(requests(200))
    pids = workers_of([next(answers) for _ in range(4)])
    assert signal.getsignal(signal.SIGCHLD) == before
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(map(is_gone, pids)))
    with pytest.raises(DlexpError, match=r"worker process .*data\.workers=0"):
        list(answers)
    stream.close()
    assert numbers(list(stream.read(requests(3)))) == list(range(100, 106))
    stream.close()
