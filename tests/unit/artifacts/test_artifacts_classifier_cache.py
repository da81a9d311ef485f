"""Classifiers in the cache directory: found whole or not at all, and never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from dlexp.artifacts import classifier_cache
from dlexp.artifacts.classifier_cache import classifier_folder, entry_name, find_classifier, keep_classifier

WEIGHTS = {"model.0.weight": torch.arange(4.0)}


def test_what_is_kept_is_found_with_its_facts(tmp_path: Path) -> None:
    folder, name = tmp_path / "new" / "classifiers", entry_name({"data": "abc"})
    assert find_classifier(folder, name) is None
    assert keep_classifier(folder, name, WEIGHTS, {"updates": 3})
    found = find_classifier(folder, name)
    assert found is not None
    assert torch.equal(found[0]["model.0.weight"], WEIGHTS["model.0.weight"])
    assert found[1] == {"updates": 3}
    assert find_classifier(folder, entry_name({"data": "abd"})) is None


def test_an_entry_of_another_name_or_format_is_not_found(tmp_path: Path) -> None:
    keep_classifier(tmp_path, "a", WEIGHTS, {})
    (tmp_path / "a.pt").rename(tmp_path / "b.pt")
    assert find_classifier(tmp_path, "b") is None
    torch.save({"format": 0, "name": "b", "weights": WEIGHTS, "facts": {}}, tmp_path / "b.pt")
    assert find_classifier(tmp_path, "b") is None


def test_a_file_that_is_cut_short_or_hostile_is_not_found_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return mark.touch, ()

    keep_classifier(tmp_path, "a", WEIGHTS, {})
    whole = (tmp_path / "a.pt").read_bytes()
    for content in (whole[: len(whole) // 2], pickle.dumps(Bomb()), b"", pickle.dumps({"format": 1})):
        (tmp_path / "a.pt").write_bytes(content)
        assert find_classifier(tmp_path, "a") is None
    assert not mark.exists()
    (tmp_path / "a.pt").unlink()
    (tmp_path / "a.pt").mkdir()
    assert find_classifier(tmp_path, "a") is None


def test_the_oldest_of_too_many_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_cache, "_MOST", 2)
    for age, name in enumerate("cba"):
        keep_classifier(tmp_path, name, WEIGHTS, {})
        os.utime(tmp_path / f"{name}.pt", (100 - age, 100 - age))
    keep_classifier(tmp_path, "new", WEIGHTS, {})
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == ["c", "new"]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not keep_classifier(tmp_path / "file" / "classifiers", "a", WEIGHTS, {})


def test_the_folder_is_in_the_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert classifier_folder() == tmp_path / "dlexp" / "classifiers"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert classifier_folder() == Path.home() / ".cache" / "dlexp" / "classifiers"
