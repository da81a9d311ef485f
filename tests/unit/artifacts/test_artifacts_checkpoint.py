from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, checkpoint_bytes, read_checkpoint
from dlexp.errors import DlexpError


def state(number: int) -> dict[str, Any]:
    return {"networks": {"w": torch.full((50,), float(number))}, "position": {"epoch": number}}


def epoch(loaded: dict[str, Any] | None) -> int:
    assert loaded is not None
    assert torch.equal(loaded["networks"]["w"], torch.full((50,), float(loaded["position"]["epoch"])))
    return int(loaded["position"]["epoch"])


class Saved:
    """A store that has saved 1, then 2, and what it said since."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, list[str]()
        self.store = CheckpointStore(folder, self.said.append)
        self.store.save_last(state(1))
        self.store.save_last(state(2))
        self.last, self.previous = folder / "last.pt", folder / "previous.pt"


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path / "checkpoints")


def test_the_disk_that_checkpoints_take_is_known_before(tmp_path: Path) -> None:
    large = {"networks": {"w": torch.zeros(30_000)}, "position": {"epoch": 1}, "optimizers": [torch.zeros(7_000)]}
    store = CheckpointStore(tmp_path, print)
    store.save_best({"networks": large["networks"], "position": {"epoch": 1}, "metrics": {}})
    for epochs in (1, 2, 3):
        store.save_last(large)
        written = sum(path.stat().st_size for path in tmp_path.glob("*.pt"))
        assert checkpoint_bytes(large, epochs) == written


class Harmful:
    """Creates the file `harmed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch harmed",)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        where = content.find(archive.read("archive/data/0"))
    assert where > 0
    content[where + 8] ^= 1  # within the numbers, where nothing but a hash would notice
    path.write_bytes(content)


def foreign_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"networks": Harmful()}))


def foreign_torch_file(path: Path) -> None:
    torch.save({"networks": Harmful()}, path)


DAMAGES = [truncate, empty, flip_a_bit, foreign_pickle, foreign_torch_file]


def test_last_and_the_one_before_it_are_kept(saved: Saved) -> None:
    assert epoch(saved.store.load_last()) == 2
    assert epoch(read_checkpoint(saved.previous)) == 1
    assert sorted(path.name for path in saved.folder.iterdir()) == ["hashes.json", "last.pt", "previous.pt"]


def test_nothing_saved_is_no_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, print)
    assert store.load_last() is None
    assert store.load_best() is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_is_moved_aside_and_named_and_the_one_before_it_used(saved: Saved, damage: Any) -> None:
    damage(saved.last)
    content = saved.last.read_bytes()
    assert epoch(saved.store.load_last()) == 1
    assert (saved.folder / "last.pt.damaged-1").read_bytes() == content
    assert not saved.last.exists()
    assert len(saved.said) == 1
    assert "last.pt" in saved.said[0]
    assert "last.pt.damaged-1" in saved.said[0]
    assert not Path("harmed").exists()


def test_training_goes_on_after_damage_and_a_second_damage_does_not_overwrite_the_first(saved: Saved) -> None:
    truncate(saved.last)
    saved.store.load_last()
    saved.store.save_last(state(2))
    saved.store.save_last(state(3))
    empty(saved.last)
    assert epoch(saved.store.load_last()) == 2
    assert (saved.folder / "last.pt.damaged-1").stat().st_size > 0
    assert (saved.folder / "last.pt.damaged-2").stat().st_size == 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_when_both_are_damaged_nothing_is_started_over(saved: Saved, damage: Any) -> None:
    damage(saved.last)
    damage(saved.previous)
    for _ in range(2):  # the second time finds neither in its place, and no beginning either
        with pytest.raises(DlexpError) as caught:
            saved.store.load_last()
        refused(caught.value, "corrupted", "last.pt.damaged-1, previous.pt.damaged-1")


@pytest.mark.parametrize("damage", DAMAGES)
def test_who_only_looks_moves_nothing(saved: Saved, damage: Any) -> None:
    damage(saved.last)
    before = sorted(path.name for path in saved.folder.iterdir())
    assert epoch(saved.store.load_last(has_lock=False)) == 1
    damage(saved.previous)
    with pytest.raises(DlexpError) as caught:
        saved.store.load_last(has_lock=False)
    refused(caught.value, "corrupted", "last.pt, previous.pt")
    assert sorted(path.name for path in saved.folder.iterdir()) == before


def test_a_save_while_another_looks_is_no_damage(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    real = CheckpointStore._hashes

    def late(store: CheckpointStore) -> dict[str, list[str]]:
        monkeypatch.undo()
        saved.store.save_last(state(3))  # after the file was read, before its hash is
        return real(store)

    monkeypatch.setattr(CheckpointStore, "_hashes", late)
    assert epoch(CheckpointStore(saved.folder, saved.said.append).load_last()) == 2
    assert saved.said == []


@pytest.mark.parametrize("damage", [foreign_pickle, foreign_torch_file])
def test_a_file_that_would_run_something_is_refused_without_a_hash_too(saved: Saved, damage: Any) -> None:
    damage(saved.last)
    with pytest.raises(DlexpError) as caught:
        read_checkpoint(saved.last)
    refused(caught.value, "untrusted", "last.pt")
    assert not Path("harmed").exists()


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2]])
def test_a_harmless_file_of_another_program_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(DlexpError) as caught:
        read_checkpoint(tmp_path / "other.pt")
    refused(caught.value, "corrupted", "other.pt")
    assert "`networks`" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DlexpError) as caught:
        read_checkpoint(tmp_path / "none.pt")
    refused(caught.value, "system-error", "none.pt")


def test_a_damaged_best_is_an_error(saved: Saved) -> None:
    saved.store.save_best(state(2))
    assert epoch(saved.store.load_best()) == 2
    flip_a_bit(saved.folder / "best.pt")
    with pytest.raises(DlexpError) as caught:
        saved.store.load_best()
    refused(caught.value, "corrupted", "best.pt")


def test_hashes_survive_many_saves_of_best_and_last_interleaved(saved: Saved) -> None:
    for number in range(3, 40):
        saved.store.save_last(state(number))
        if number % 3 == 0:
            saved.store.save_best(state(number))
        fresh = CheckpointStore(saved.folder, saved.said.append)
        assert epoch(fresh.load_last()) == number
        assert number < 6 or epoch(fresh.load_best()) == number - number % 3
    truncate(saved.last)
    assert epoch(saved.store.load_last()) == 38
    hashes = json.loads((saved.folder / "hashes.json").read_text())
    assert max(len(known) for known in hashes.values()) == 3


def test_saves_that_fail_again_and_again_do_not_cost_the_checkpoints(saved: Saved) -> None:
    before = saved.last.read_bytes()
    saved.last.unlink()
    saved.last.mkdir()  # a folder in its place: the hash is written, the rename fails
    for number in range(3, 12):
        with pytest.raises(DlexpError) as caught:
            CheckpointStore(saved.folder, print).save_last(state(number))
        refused(caught.value, "system-error", "last.pt")
    saved.last.rmdir()
    saved.last.write_bytes(before)
    assert epoch(CheckpointStore(saved.folder, print).load_last()) == 2
    truncate(saved.last)
    assert epoch(CheckpointStore(saved.folder, print).load_last()) == 1


def test_many_restarts_with_one_save_each_keep_both_checkpoints_valid(saved: Saved) -> None:
    for number in range(3, 10):
        CheckpointStore(saved.folder, print).save_last(state(number))
    truncate(saved.last)
    assert epoch(CheckpointStore(saved.folder, print).load_last()) == 8


def test_damaged_hashes_are_named_and_the_checkpoints_stay_where_they_are(saved: Saved) -> None:
    (saved.folder / "hashes.json").write_text("{")
    with pytest.raises(DlexpError) as caught:
        saved.store.load_last()
    refused(caught.value, "corrupted", "hashes.json")
    assert epoch(read_checkpoint(saved.last)) == 2


def test_without_hard_links_previous_is_a_copy(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    saved.store.save_last(state(3))
    assert epoch(saved.store.load_last()) == 3
    assert epoch(read_checkpoint(saved.previous)) == 2
    assert saved.previous.stat().st_nlink == 1
