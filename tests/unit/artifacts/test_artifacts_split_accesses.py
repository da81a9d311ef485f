"""Accesses to a split are counted, also those of several processes at once and after damage to the file."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from refusals import refused

from dlexp.artifacts.runs.split_accesses import count_split_accesses, log_split_access
from dlexp.errors import DlexpError


def _look(folder: str, times: int, found: multiprocessing.Queue[list[int]]) -> None:
    found.put([log_split_access(Path(folder), "test", "best") for _ in range(times)])


def test_each_split_is_counted_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "eval"
    assert [log_split_access(folder, split, "best") for split in ("test", "val", "test", "test", "val")] == [
        1,
        1,
        2,
        3,
        2,
    ]
    lines = [json.loads(line) for line in (folder / "split_accesses.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines] == ["test", "val", "test", "test", "val"]
    assert set(lines[0]) == {"split", "checkpoint", "time"}


def test_two_at_once_each_have_a_number_of_their_own(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    workers = [context.Process(target=_look, args=(str(tmp_path), 40, found)) for _ in range(3)]
    for worker in workers:
        worker.start()
    numbers = [number for _ in workers for number in found.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(numbers) == list(range(1, 121))
    assert len((tmp_path / "split_accesses.jsonl").read_text().splitlines()) == 120


def test_accesses_are_counted_without_adding_one(tmp_path: Path) -> None:
    for split in ("test", "test", "val"):
        log_split_access(tmp_path, split, "best")
    assert [count_split_accesses(tmp_path, split) for split in ("test", "val", "train")] == [2, 1, 0]
    assert count_split_accesses(tmp_path / "none", "test") == 0


@pytest.mark.parametrize("torn", [b'{"split": "te', b"\xff\xfe\n", b"[]\n", b'{"time": 1}\n'])
def test_a_line_that_cannot_be_read_counts_and_the_next_stands_alone(tmp_path: Path, torn: bytes) -> None:
    log_split_access(tmp_path, "test", "best")
    with (tmp_path / "split_accesses.jsonl").open("ab") as file:
        file.write(torn)
    assert log_split_access(tmp_path, "test", "best") == 3
    assert log_split_access(tmp_path, "test", "best") == 4
    lines = (tmp_path / "split_accesses.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["split"] for line in (lines[0], *lines[-2:])] == ["test"] * 3


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "eval").write_text("a file")
    with pytest.raises(DlexpError) as caught:
        log_split_access(tmp_path / "eval", "test", "best")
    refused(caught.value, "invalid-type", "eval is a file")
