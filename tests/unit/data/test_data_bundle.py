from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from typed_specs import classes_of, values_of

from dlexp.data.bundle import Split, fingerprint_of, with_counts
from dlexp.data.columns import tensor_of
from dlexp.data.preprocess import Affine
from dlexp.data.sources.sklearn_sets import diabetes, iris


def test_affine_maps_pixels_to_float() -> None:
    affine = Affine(torch.tensor(0.5), torch.tensor(-1.0))
    found = affine(torch.tensor([[0, 2], [4, 255]], dtype=torch.uint8))
    assert found.dtype == torch.float32
    assert found.tolist() == [[-1.0, 0.0], [1.0, 126.5]]


def test_affine_takes_one_scale_a_channel() -> None:
    affine = Affine(torch.tensor([1.0, 2.0])[:, None, None], torch.tensor([0.0, 1.0])[:, None, None])
    assert affine(torch.ones(3, 2, 4, 4))[0, :, 0, 0].tolist() == [1.0, 3.0]


def test_split_counts_samples_and_moves() -> None:
    split = Split.in_memory(torch.zeros(5, 2), torch.zeros(5), torch.arange(5))
    moved = split.to(torch.device("meta"))
    assert len(split) == 5
    assert {part.device.type for part in (tensor_of(moved.inputs), tensor_of(moved.targets), moved.indices)} == {"meta"}


@pytest.mark.parametrize(
    "other",
    [
        np.array([[1, 2], [3, 5]]),
        np.array([1, 2, 3, 4]),
        np.array([[1, 2], [3, 4]], dtype=np.int32),
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1, 3], [2, 4]]),
    ],
)
def test_fingerprint_sees_values_shape_and_type(other: np.ndarray) -> None:
    array = np.array([[1, 2], [3, 4]])
    assert fingerprint_of(array) == fingerprint_of(array.copy())
    assert fingerprint_of(np.asfortranarray(array)) == fingerprint_of(array)
    assert fingerprint_of(array) != fingerprint_of(other)


def test_sizes_and_split_hash_follow_the_splits() -> None:
    assert iris(val_fraction=0.1, test_fraction=0.3).sizes() == {"train": 90, "val": 15, "test": 45}
    assert iris(val_fraction=0.1).split_hash != iris(val_fraction=0.2).split_hash


def test_counts_are_those_of_the_training_split_and_are_kept_where_they_are_known() -> None:
    """A replay has the spec of a run and zeros for its samples."""
    bundle = with_counts(iris(val_fraction=0.4))
    targets = tensor_of(bundle.splits["train"].targets)
    assert classes_of(bundle.spec).counts == tuple(int((targets == number).sum()) for number in range(3))
    assert sum(classes_of(bundle.spec).counts) == len(targets) < 150
    emptied = Split.in_memory(
        tensor_of(bundle.splits["train"].inputs), torch.zeros_like(targets), bundle.splits["train"].indices
    )
    replayed = replace(bundle, splits={**bundle.splits, "train": emptied})
    assert with_counts(replayed).spec == bundle.spec
    values = with_counts(diabetes())
    assert values_of(values.spec).min == (float(tensor_of(values.splits["train"].targets).min()),)
    assert "class_counts" not in values_of(values.spec).loss_arguments()
