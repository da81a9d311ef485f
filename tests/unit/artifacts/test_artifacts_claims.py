"""A directory that is deleted, moved, replaced or emptied while it is written is never made anew in silence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from refusals import refused

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.files.claims import check_claims, claimed, make_folder
from dlexp.artifacts.files.writing import append_text, place_folder, write_json
from dlexp.artifacts.runs.metrics_log import MetricsLog
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.errors import DlexpError


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def parent_deleted(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("other"))


def replaced(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("lose", [deleted, parent_deleted, renamed, replaced])
@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_json(folder / "status.json", {}),
        lambda folder: write_json(folder / "checkpoints" / "hashes.json", {}),
        lambda folder: append_text(folder / "train.log", "a line\n"),
        lambda folder: place_folder(folder, "crash", {"a": b""}),
        lambda folder: log_split_access(folder / "eval", "test", "best"),
        lambda folder: make_folder(folder / "logs"),
        lambda folder: RunDir.create("train", "x", folder / "seed-1"),
    ],
)
def test_every_writer_refuses_and_leaves_nothing(
    tmp_path: Path, lose: Callable[[Path], None], write: Callable[[Path], None]
) -> None:
    folder = tmp_path / "outputs" / "r"
    folder.mkdir(parents=True)
    with claimed(folder):
        write_json(folder / "a" / "b.json", {})  # while it is there, folders below it are made
        lose(folder)
        with pytest.raises(DlexpError) as caught:
            write(folder)
        refused(caught.value, "not-found", folder.name)
        left = sorted(folder.rglob("*")) if folder.exists() else []
    assert left == []
    make_folder(folder / "later")  # a claim ends with its body
    check_claims(folder)


def test_run_ends_when_a_file_that_makes_it_one_is_gone(tmp_path: Path) -> None:
    run = RunDir.create("train", "x", tmp_path / "r")
    for name in ("config.yaml", "meta.json"):
        (run / name).touch()
    with run.lock(), pytest.raises(DlexpError) as caught, run.recording(3):
        run.check_whole()
        (run / "meta.json").unlink()
        run.check_whole()
    refused(caught.value, "not-found", "meta.json")
    assert run.status().state == "failed"


def test_history_is_not_begun_again_in_its_middle(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.epoch({"epoch": 1, "step": 1, "val/loss": 0.5})
    log.say("one")
    for name in ("metrics.csv", "train.log"):
        (tmp_path / name).unlink()
    with pytest.raises(DlexpError) as caught:
        log.epoch({"epoch": 2, "step": 2, "val/loss": 0.4})
    refused(caught.value, "system-error", "metrics.csv")
    with pytest.raises(DlexpError) as caught:
        log.say("two")
    refused(caught.value, "system-error", "train.log")
    assert not (tmp_path / "metrics.csv").exists()


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_checkpoint_that_was_deleted_is_missed(tmp_path: Path, name: str) -> None:
    store = CheckpointStore(tmp_path, print)
    state = {"networks": {"w": torch.zeros(2)}}
    store.save(state, state)
    (tmp_path / name).unlink()
    with pytest.raises(DlexpError) as caught:
        store.save(state)
    refused(caught.value, "not-found", name)
    with pytest.raises(DlexpError) as caught:
        store.load_best()
    refused(caught.value, "not-found", name)
