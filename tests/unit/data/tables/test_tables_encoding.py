from __future__ import annotations

import numpy as np
import pytest
import torch
from typed_specs import values_of

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.tables.encoding import build_table, fit_column
from dlexp.data.tables.features.encodings import CategoryColumn, NumberColumn

NAN = float("nan")
ROWS = (np.arange(0, 6), np.arange(6, 8), np.arange(8, 10))


def table(numbers: list[float], words: list[str | None] | None = None, standardize: bool = True) -> DataBundle:
    columns = {"x": np.array(numbers)}
    if words is not None:
        columns["w"] = np.array(words, dtype=object)
    targets = np.arange(10, dtype=np.float32)[:, None]
    return build_table(columns, targets, (), ("y",), ROWS, standardize)


def test_poisoned_test_split_changes_nothing_in_train() -> None:
    clean = table([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    poisoned = table([1, 2, 3, 4, 5, 6, 7, 8, 1e9, -1e9])
    assert torch.equal(tensor_of(clean.splits["train"].inputs), tensor_of(poisoned.splits["train"].inputs))
    assert torch.equal(tensor_of(clean.splits["val"].inputs), tensor_of(poisoned.splits["val"].inputs))
    assert clean.preprocessing == poisoned.preprocessing
    assert clean.fingerprint != poisoned.fingerprint


def test_targets_are_measured_on_train_alone() -> None:
    spec = table([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).spec
    assert values_of(spec).mean == (2.5,)
    assert list(values_of(spec).std) == pytest.approx([np.arange(6).std()])
    assert spec.output_names == ("y",)


def test_missing_number_becomes_the_median_of_the_training_rows() -> None:
    bundle = table([1, NAN, 2, 3, 100, 5, NAN, 50, 60, 70], standardize=False)
    assert tensor_of(bundle.splits["train"].inputs)[:, 0].tolist() == [1, 3, 2, 3, 100, 5]
    assert tensor_of(bundle.splits["val"].inputs)[:, 0].tolist() == [3, 50]


def test_column_without_numbers_in_train_is_zero() -> None:
    bundle = table([NAN] * 6 + [1, 2, 3, 4])
    assert tensor_of(bundle.splits["train"].inputs)[:, 0].tolist() == [0] * 6
    assert torch.isfinite(tensor_of(bundle.splits["test"].inputs)).all()


def test_constant_column_does_not_divide_by_nothing() -> None:
    bundle = table([7.0] * 6 + [7.0, 8.0, 9.0, 7.0])
    assert tensor_of(bundle.splits["train"].inputs)[:, 0].tolist() == [0] * 6
    assert tensor_of(bundle.splits["val"].inputs)[:, 0].tolist() == [0, 1]


def test_categories_are_those_of_the_training_rows() -> None:
    bundle = table([0.0] * 10, ["b", "a", "b", None, "a", "c", "a", "z", None, "c"])
    assert bundle.preprocessing["columns"][1] == {"kind": "category", "name": "w", "categories": ("a", "b", "c")}
    assert tensor_of(bundle.splits["train"].inputs)[:, 1:].tolist()[3] == [0, 0, 0]  # missing
    assert tensor_of(bundle.splits["val"].inputs)[:, 1:].tolist() == [[1, 0, 0], [0, 0, 0]]  # seen, never seen
    assert tensor_of(bundle.splits["test"].inputs)[:, 1:].tolist() == [[0, 0, 0], [0, 0, 1]]


def test_fit_tells_numbers_from_categories() -> None:
    assert isinstance(fit_column("x", np.array([1.0, 3.0]), True), NumberColumn)
    assert fit_column("x", np.array([1.0, 3.0]), False) == NumberColumn("x", 2.0, 0.0, 1.0)
    assert fit_column("w", np.array(["b", None, "a"], dtype=object), True) == CategoryColumn("w", ("a", "b"))


def test_rows_keep_their_numbers() -> None:
    bundle = table([float(n) for n in range(10)], standardize=False)
    for split in bundle.splits.values():
        assert tensor_of(split.inputs)[:, 0].tolist() == split.indices.tolist()
        assert tensor_of(split.targets)[:, 0].tolist() == split.indices.tolist()
