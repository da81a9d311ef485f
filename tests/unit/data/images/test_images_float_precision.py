"""What a table or an array keeps of its numbers, and what is refused where float32 or float64 would lose it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

from dlexp.data.columns import tensor_of
from dlexp.data.sources.arrays import arrays
from dlexp.data.tables.encoding import build_table
from dlexp.data.targets import target_unit, whole_number_reason
from dlexp.errors import DataError

_X = np.random.default_rng(0).normal(size=60)
_ROWS = (np.arange(40), np.arange(40, 50), np.arange(50, 60))


@pytest.mark.parametrize("factor", [1.0, 1e-13, 1e-300, 1e200, -1e-3])
@pytest.mark.parametrize("standardize", [True, False])
def test_columns_of_any_size_reach_the_network_or_are_refused(factor: float, standardize: bool) -> None:
    columns = {"a": _X * factor}
    if not standardize and factor in (1e-300, 1e200):
        with pytest.raises(DataError) as caught:
            build_table(columns, _X[:, None], (), ("y",), _ROWS, standardize)
        refused(caught.value, "out-of-range", "column 'a'", "data.standardize=true")
        return
    found = tensor_of(build_table(columns, _X[:, None], (), ("y",), _ROWS, standardize).splits["train"].inputs)[:, 0]
    learned = _X[:40]
    expected = (learned - learned.mean()) / learned.std() * np.sign(factor) if standardize else learned * factor
    assert found.numpy() == pytest.approx(expected, rel=1e-6, abs=1e-6 * abs(expected).max())


def test_raw_numbers_that_float32_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        build_table({"a": 1.7e9 + 20 * _X}, _X[:, None], (), ("y",), _ROWS, False)
    refused(caught.value, "out-of-range", "'a'", "data.standardize=true")


def test_a_column_that_is_constant_but_for_rounding_is_noted() -> None:
    almost = np.where(np.arange(60) % 2, 0.3, 0.1 + 0.2)
    bundle = build_table({"a": _X, "b": almost}, _X[:, None], (), ("y",), _ROWS, True)
    assert any("'b'" in note and "rounding" in note for note in bundle.notes)
    assert float(tensor_of(bundle.splits["train"].inputs)[:, 1].abs().max()) < 1e-12


def test_the_unit_of_targets_is_that_of_their_deviation() -> None:
    values = np.stack([1.7e9 + _X, 1e-14 * _X, np.full(60, 5.0)], axis=1)
    mean, std = target_unit(values, np.arange(60), ("a", "b", "c"))
    assert mean == pytest.approx([1.7e9 + _X.mean(), 1e-14 * _X.mean(), 5.0])
    assert std == pytest.approx([_X.std(), 1e-14 * _X.std(), 1.0], rel=1e-6)
    values[55, 1] = 1e150
    with pytest.raises(DataError) as caught:
        target_unit(values, np.arange(40), ("a", "b", "c"))
    refused(caught.value, "out-of-range", "column 'b': the target 1e+150")


def test_whole_numbers_beyond_float64_are_refused_where_their_difference_counts(tmp_path: Path) -> None:
    steps = (100 * _X).astype(np.int64)
    for base, scale, is_kept in ((2**52, 1, True), (1_700_000_000 * 10**9, 10**6, True), (2**60, 1, False)):
        np.savez(tmp_path / "a.npz", x=_X[:, None], y=base + scale * steps)
        if is_kept:
            bundle = arrays(path=str(tmp_path / "a.npz"), target_kind="value")
            split = bundle.splits["train"]
            assert tensor_of(split.targets).dtype == torch.float64
            assert (
                tensor_of(split.targets)[:, 0].tolist()
                == (base + scale * steps)[split.indices].astype(np.float64).tolist()
            )
        else:
            with pytest.raises(DataError) as caught:
                arrays(path=str(tmp_path / "a.npz"), target_kind="value")
            refused(caught.value, "invalid-data", "'y'")
    top = np.array([[2**64 - 1], [2**64 - 9]], dtype=np.uint64)
    assert "18446744073709551615" in whole_number_reason(top)
    assert not whole_number_reason(np.array([[2**63], [2**40]], dtype=np.uint64))


def test_targets_that_differ_are_not_said_to_be_equal(tmp_path: Path) -> None:
    for y, message in ((np.full(60, 3.0), "[3.0]"), (1 + 2e-16 * (_X > 0), "1.0 to 1.0000000000000002")):
        np.savez(tmp_path / "a.npz", x=_X[:, None], y=y)
        with pytest.raises(DataError) as caught:
            arrays(path=str(tmp_path / "a.npz"), target_kind="value")
        refused(caught.value, "invalid-data", message)
