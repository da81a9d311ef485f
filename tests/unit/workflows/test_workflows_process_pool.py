"""Jobs in forked children: what they say, how they end, and what each may hold (T8)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dlexp.workflows.process_pool import Child, Pool, Receive, Send

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # of newer Pythons, in a threaded test run


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "trial" / "output.log"


def until_ended(pool: Pool) -> Iterator[tuple[Child, dict[str, Any]]]:
    while pool.children:
        yield from pool.events()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_epoch_is_answered_and_what_is_printed_goes_to_a_file(output: Path) -> None:
    def work(send: Send, receive: Receive) -> None:
        for epoch in (1, 2, 3):
            os.write(1, b"epoch %d\n" % epoch)
            send({"epoch": epoch, "value": epoch / 2})
            if not receive():
                break
        send({"value": epoch, "pruned": epoch < 3})

    pool = Pool(1)
    pool.start("a", output, work)
    assert not pool.has_room
    said = []
    for child, message in until_ended(pool):
        said.append((child.key, message))
        if "epoch" in message:
            child.reply(message["epoch"] < 2)
    epochs = [("a", {"epoch": 1, "value": 0.5}), ("a", {"epoch": 2, "value": 1.0})]
    assert said == [*epochs, ("a", {"value": 2, "pruned": True})]
    assert output.read_text() == "epoch 1\nepoch 2\n"
    assert pool.has_room


@pytest.mark.parametrize(
    ("end", "expected"),
    [(lambda: os._exit(3), "ended with exit code 3"), (lambda: os.kill(os.getpid(), 9), "killed by SIGKILL")],
)
def test_an_end_without_a_word_is_a_failure_with_its_reason(end: Any, expected: str, output: Path) -> None:
    pool = Pool(1)
    pool.start("a", output, lambda send, receive: end())
    assert [message for _, message in until_ended(pool)] == [{"failed": expected}]


def test_a_child_that_was_asked_to_stop_is_interrupted(output: Path) -> None:
    def work(send: Send, receive: Receive) -> None:
        send({"epoch": 1, "value": 0.0})
        signal.pause()

    pool = Pool(1)
    pool.start("a", output, work)
    said = []
    for child, message in until_ended(pool):
        said.append(message)
        if "epoch" in message:
            child.stop()
    assert said[1:] == [{"interrupted": True}]


@pytest.mark.parametrize("used_gpu", [False, True])
def test_only_a_process_that_used_a_gpu_is_waited_for(used_gpu: bool, output: Path) -> None:
    go = output.parent / "go"

    def work(send: Send, receive: Receive) -> None:
        send({"value": 1.0, "used_gpu": used_gpu})
        while not go.exists():
            time.sleep(0.01)

    pool = Pool(1)
    pool.start("a", output, work)
    timer = threading.Timer(2.0 if used_gpu else 600.0, go.touch)
    timer.start()
    ((child, _),) = until_ended(pool)
    assert pool.has_room
    assert is_there(child.pid) != used_gpu
    timer.cancel()
    go.touch()
    while is_there(child.pid):  # and it is collected when its time has come
        list(pool.events())
        time.sleep(0.01)


def test_jobs_side_by_side_have_a_gpu_each(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    pool = Pool(3)
    for key in "abc":
        pool.start(key, output, lambda send, receive: send({"value": os.environ["CUDA_VISIBLE_DEVICES"]}))
    assert {child.key: message["value"] for child, message in until_ended(pool)} == {"a": "4", "b": "7", "c": "4"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"
