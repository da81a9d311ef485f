"""The drawn table: learnable by what it says, and noisy by as much as it says."""

from __future__ import annotations

import numpy as np
import pytest

from dlexp.data.columns import tensor_of
from dlexp.data.sources.synthetic_table import draw_table, synthetic_regression


def test_a_row_is_a_function_of_its_number_and_the_seed() -> None:
    few, many = draw_table(50, 5, 0.1, 0), draw_table(200, 5, 0.1, 0)
    assert np.array_equal(few[0], many[0][:50])
    assert np.array_equal(few[1], many[1][:50])
    assert not np.array_equal(few[0], draw_table(50, 5, 0.1, 1)[0])


@pytest.mark.parametrize("features", [3, 20])
def test_the_target_is_what_the_docstring_says(features: int) -> None:
    """Least squares on the terms of the formula finds the noise and the weights; on the features alone half is left."""
    x, y = draw_table(20_000, features, 0.3, 4)
    terms = np.column_stack([x, x[:, 0] * x[:, 1], x[:, 2] ** 2 - 1])
    found, (left,), *_ = np.linalg.lstsq(terms, y, rcond=None)
    assert np.sqrt(left / len(y)) == pytest.approx(0.3, rel=0.02)
    assert np.linalg.norm(found[:features]) == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert found[features:].tolist() == pytest.approx([0.5, 0.5 / np.sqrt(2)], abs=0.01)
    clean = draw_table(20_000, features, 0.0, 4)[1]
    assert clean.mean() == pytest.approx(0, abs=0.03)
    assert clean.std() == pytest.approx(1, rel=0.03)
    _, (straight,), *_ = np.linalg.lstsq(x, clean, rcond=None)
    assert straight / len(y) == pytest.approx(0.5, abs=0.05)


def test_it_is_split_and_described() -> None:
    bundle = synthetic_regression()
    assert bundle.sizes() == {"train": 600, "val": 200, "test": 200}
    assert bundle.spec.inputs.shape == (20,)
    assert bundle.spec.output_names == ("y",)
    x, y = draw_table(1000, 20, 0.1, 0)
    raw = synthetic_regression(standardize=False).splits["val"]
    assert np.array_equal(tensor_of(raw.inputs), x[raw.indices].astype(np.float32))
    assert np.array_equal(tensor_of(raw.targets)[:, 0], y[raw.indices])
    assert bundle.fingerprint != synthetic_regression(data_seed=1).fingerprint
