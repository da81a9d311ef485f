"""Features back to columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from dlexp.data.columns import tensor_of
from dlexp.data.sources.sklearn_sets import wine
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.original_units import original_columns

TABLE = "age,city,rich\n" + "".join(
    f"{20 + n if n % 7 else ''},{'Bern' if n % 3 else 'Oslo'},{'yes' if n % 2 else 'no'}\n" for n in range(40)
)


@pytest.mark.parametrize("standardize", [True, False])
def test_numbers_come_back_in_their_own_units(standardize: bool) -> None:
    bundle = wine(standardize=standardize)
    split = bundle.splits["test"]
    found = original_columns(tensor_of(split.inputs).numpy(), bundle.preprocessing)
    source = load_wine()
    assert list(found) == list(source.feature_names)
    for number, cells in enumerate(found.values()):
        assert np.allclose(cells, source.data[split.indices.numpy(), number], rtol=1e-5)


def test_categories_come_back_by_name_and_a_gap_as_what_took_its_place(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    bundle = table_file(path=str(tmp_path / "t.csv"), target="rich")
    split = bundle.splits["train"]
    found = original_columns(tensor_of(split.inputs).numpy(), bundle.preprocessing)
    rows = split.indices.tolist()
    assert found["city"] == ["Bern" if n % 3 else "Oslo" for n in rows]
    median = float(np.median([20 + n for n in rows if n % 7]))
    assert np.allclose(found["age"], [20 + n if n % 7 else median for n in rows], rtol=1e-5)
    nobody = torch.zeros(1, tensor_of(split.inputs).shape[1]).numpy()
    assert original_columns(nobody, bundle.preprocessing)["city"] == ["-"]


def test_samples_of_no_table_have_numbered_features() -> None:
    found = original_columns(np.ones((2, 3), dtype=np.float32), {"kind": "image"})
    assert list(found) == ["feature 0", "feature 1", "feature 2"]
