"""Files of splits are refused with the way that the data has instead."""

from __future__ import annotations

import pytest

from dlexp.config.check.suggest import unknown_key
from dlexp.config.files.catalog import Catalog


@pytest.mark.parametrize(("data", "word"), [("arrays", "x_val"), ("ndarrays", "x_val"), ("huggingface", "DatasetDict")])
def test_a_file_of_validation_samples_is_answered_with_own_splits(data: str, word: str) -> None:
    problem = unknown_key("data.val_path", "v.npz", {"data": data}, Catalog())
    assert word in problem.remedy
