"""Arrays that are handed over are read as a file of them is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlexp.data.memory.handed_over import hand_over
from dlexp.data.memory.ndarrays import ndarrays, target_kind
from dlexp.data.sources.arrays import arrays
from dlexp.errors import ConfigError, DataError


@pytest.mark.parametrize("shape", [(60, 8, 8), (60, 3, 8, 8), (60, 4)])
def test_arrays_and_their_file_give_the_same_bundle(shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, shape, dtype=np.uint8) if len(shape) > 2 else rng.normal(size=shape)
    given = {"x": x, "y": np.arange(60) % 3}
    np.savez(tmp_path / "a.npz", x=given["x"], y=given["y"])
    with hand_over(given):
        own = ndarrays()
        assert target_kind({"target_kind": "auto", "inputs": "x", "target": "y"}) == "class"
    read = arrays(path=str(tmp_path / "a.npz"))
    assert (own.fingerprint, own.split_hash, own.spec) == (read.fingerprint, read.split_hash, read.spec)


def test_a_missing_array_is_named() -> None:
    with hand_over({"x": np.zeros((9, 2)), "z": np.zeros(9)}), pytest.raises(DataError, match="data: array 'y'"):
        ndarrays()


def test_without_arrays_they_are_asked_for() -> None:
    with pytest.raises(ConfigError, match="Hand it over again"):
        ndarrays()
    with hand_over([1, 2]), pytest.raises(ConfigError, match="list"):
        ndarrays()


@pytest.mark.parametrize(("values", "notes"), [([0.0, 1.0, 2.0], 1), ([0.0, 1.5, 2.0], 0), ([0, 1, 2], 0)])
def test_floats_that_may_be_classes_are_noted_with_the_key(values: list[float], notes: int) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    with hand_over({"x": x, "y": np.array(values * 20)}):
        found = [note for note in ndarrays().notes if "data.target_kind=class" in note]
        assert len(found) == notes
        if notes:
            assert not any("target_kind" in note for note in ndarrays(target_kind="class").notes)
