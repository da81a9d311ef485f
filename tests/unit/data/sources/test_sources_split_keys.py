"""Arrays and Hugging Face data sets split by group, time and name, as far as they are not divided already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlexp.data.bundle import DataBundle
from dlexp.data.sources.arrays import arrays
from dlexp.data.sources.huggingface import huggingface
from dlexp.errors import DataError

RNG = np.random.default_rng(0)
GROUPS = RNG.integers(0, 30, 200)
TIMES = np.datetime64("2020-01-01") + RNG.integers(0, 300, 200)
FOLDS = RNG.choice(["train", "dev", "test"], 200, p=[0.6, 0.2, 0.2])
TARGETS = (GROUPS % 2).astype(np.int64)
TABLE = RNG.normal(size=(200, 3))


def rows(bundle: DataBundle) -> list[np.ndarray]:
    return [bundle.splits[name].indices.numpy() for name in ("train", "val", "test")]


def are_whole(bundle: DataBundle, groups: np.ndarray) -> bool:
    train, val, test = ({*groups[some].tolist()} for some in rows(bundle))
    return not (train & val or train & test or val & test)


def test_arrays_are_split_by_group_time_and_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=TABLE, y=TARGETS, patient=GROUPS, when=TIMES, fold=FOLDS)
    assert are_whole(arrays(path=str(path), group="patient"), GROUPS)
    train, val, test = rows(arrays(path=str(path), time="when"))
    assert TIMES[train].max() < TIMES[val].min() and TIMES[val].max() < TIMES[test].min()
    named = arrays(path=str(path), split_column="fold")
    assert [set(FOLDS[some]) for some in rows(named)] == [{"train"}, {"dev"}, {"test"}]
    assert "data.split_column" in named.omitted["fold"]
    with pytest.raises(DataError, match=r"data\.group=patient") as caught:
        arrays(path=str(path), group="patent")
    assert caught.value.code == "not-found"


def test_arrays_in_parts_hold_out_by_group(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    parts: dict[str, Any] = {
        "x_train": TABLE[:150],
        "x_test": TABLE[150:],
        "y_train": TARGETS[:150],
        "y_test": TARGETS[150:],
    }
    groups = np.concatenate([GROUPS[:150], GROUPS[150:] + 100])
    np.savez(path, **parts, patient_train=groups[:150], patient_test=groups[150:])
    bundle = arrays(path=str(path), group="patient")
    assert are_whole(bundle, groups) and rows(bundle)[2].tolist() == list(range(150, 200))
    np.savez(path, **parts, patient_train=GROUPS[:150], patient_test=GROUPS[150:])
    with pytest.raises(DataError, match="in two splits"):
        arrays(path=str(path), group="patient")


def test_hub_data_are_split_by_a_column(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(60)]
    columns = {"image": images, "label": TARGETS[:60].tolist(), "patient": [f"p{n}" for n in GROUPS[:60]]}
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b"]), patient=datasets.Value("string")
    )
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "set"))
    bundle = huggingface(folder=str(tmp_path / "set"), image_size=8, group="patient", in_memory=True)
    assert are_whole(bundle, GROUPS) and "data.group" in bundle.omitted["patient"]
    with pytest.raises(DataError) as caught:
        huggingface(folder=str(tmp_path / "set"), image_size=8, group="doctor")
    assert caught.value.code == "not-found"
