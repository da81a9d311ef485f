"""The index of `dlexp runs`: it saves reading, and never hides a change."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_toys import write_run

from dlexp.workflows.run_record import read
from dlexp.workflows.runs import index, query
from dlexp.workflows.runs.query import Row, find_runs, sort_runs, where


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """outputs/ with two finished runs and a seed of a group, all of them written long enough ago to be kept."""
    outputs = tmp_path / "outputs"
    monkeypatch.setenv("DLEXP_RUNS_DIR", str(outputs))
    monkeypatch.setattr(index, "_SETTLED_NS", 0)
    write_run(outputs / "train" / "a", loss=0.5, lr=0.1)
    write_run(outputs / "train" / "b", loss=0.2, lr=1e-4)
    write_run(outputs / "train" / "g-1-seeds" / "seed-3", model="cnn", seed=3, loss=0.4)
    return outputs


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are read in full."""
    found: list[str] = []

    def read_run(folder: Path) -> read.RunSummary:
        found.append(folder.name)
        return read.read_run_summary(folder)

    monkeypatch.setattr(query, "read_run_summary", read_run)
    return found


def plain(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows as `--json` shows them, without the age."""
    return [{key: value for key, value in row.as_dict().items() if key != "age"} for row in rows]


def listed() -> list[dict[str, Any]]:
    return sorted(plain(list(find_runs().rows)), key=lambda row: row["name"])


def test_second_listing_reads_no_run_and_says_the_same(root: Path, reads: list[str]) -> None:
    first = listed()
    assert sorted(reads) == ["a", "b", "seed-3"]
    reads.clear()
    rows = find_runs().rows
    assert reads == []
    assert sorted(plain(list(rows)), key=lambda row: row["name"]) == first
    assert [row.path.name for row in where(rows, ["optim.lr<1e-3"])] == ["b"]  # a key that the index does not keep
    assert [row.path.name for row in where(rows, ["model=cnn"])] == ["seed-3"]
    assert [row.path.name for row in sort_runs(rows, "val/loss")] == ["b", "seed-3", "a"]
    assert sort_runs(rows, "optim.lr")[0].path.name == "a"


def summary_changed(run: Path) -> None:
    (run / "summary.json").write_text(json.dumps({"best": {"loss": 0.125}}))


def same_length(run: Path) -> None:
    """Another number of as many digits, and the time of the old file."""
    path = run / "meta.json"
    before, text = path.stat(), path.read_text()
    changed = text.replace('"seed": 0', '"seed": 7')
    assert changed != text
    path.write_text(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def evaluated(run: Path) -> None:
    report = run / "eval" / "test" / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"metrics": {"loss": 0.75}}))


def running(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "state": "failed", "reason": "a test"}))


def grown(run: Path) -> None:
    with (run / "weights.bin").open("ab") as file:
        file.write(b"more")


def damaged(run: Path) -> None:
    (run / "meta.json").write_text("{")


def replaced(run: Path) -> None:
    shutil.rmtree(run)
    write_run(run, loss=0.9, lr=0.3)


def linked(run: Path) -> None:
    (run / "meta.json").rename(run.parent.parent / "meta.json")
    (run / "meta.json").symlink_to(run.parent.parent / "meta.json")


@pytest.mark.parametrize(
    "change", [summary_changed, same_length, evaluated, running, grown, damaged, replaced, linked, shutil.rmtree]
)
def test_a_run_that_changes_is_seen_at_once(root: Path, change: Callable[[Path], None]) -> None:
    (root / "train" / "a" / "weights.bin").write_bytes(bytes(100_000))
    before = listed()
    change(root / "train" / "a")
    after, broken = listed(), find_runs().broken
    (root / index.FILE).unlink(missing_ok=True)
    assert (after, broken) == (listed(), find_runs().broken)  # as without an index
    assert change is linked or (after, list(broken)) != (before, [])
    assert [row for row in after if row["name"] != "a"] == [row for row in before if row["name"] != "a"]


def test_what_may_be_changing_is_read_each_time(root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(root / "train" / "r", state="running")
    listed()
    reads.clear()
    listed()
    assert reads == ["r"]
    (root / index.FILE).unlink()
    monkeypatch.setattr(index, "_SETTLED_NS", 3600 * 10**9)  # nothing is old enough
    listed()
    reads.clear()
    listed()
    assert sorted(reads) == ["a", "b", "r", "seed-3"]
    assert not (root / index.FILE).exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\n", b"[" * 100_000])
def test_a_damaged_index_is_made_anew(root: Path, reads: list[str], damage: bytes) -> None:
    first = listed()
    whole = (root / index.FILE).read_bytes()
    for content in (damage, whole[:-10], whole.replace(b"0.5", b"0.9")):
        (root / index.FILE).write_bytes(content)
        reads.clear()
        assert listed() == first
        assert sorted(reads) == ["a", "b", "seed-3"]
    reads.clear()
    listed()
    assert reads == []


def test_an_index_of_another_version_is_not_used(root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    listed()
    monkeypatch.setattr("dlexp.__version__", "0.0.0+other")
    reads.clear()
    listed()
    assert sorted(reads) == ["a", "b", "seed-3"]


def test_a_folder_that_cannot_be_written_is_listed_without_an_index(root: Path) -> None:
    (root / index.FILE).mkdir()
    (root / index.FILE / "in the way").touch()
    assert [row["name"] for row in listed()] == ["a", "b", "g-1-seeds/seed-3"]


def test_deleted_runs_leave_the_index(root: Path) -> None:
    listed()
    shutil.rmtree(root / "train" / "a")
    write_run(root / "train" / "c", loss=0.1)
    time.sleep(0.01)
    listed()
    text = (root / index.FILE).read_text()
    assert '"train/a"' not in text
    assert '"train/c"' in text
