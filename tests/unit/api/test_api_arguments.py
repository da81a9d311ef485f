"""What a call in Python becomes: words of a command line, and data that is handed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from dlexp.api.arguments import as_array, data_argument, override_words
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

CATALOG = Catalog(())
FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]})


def words_of(data: object, target: object = None, *overrides: str) -> tuple[str, ...]:
    return data_argument(data, target, overrides, CATALOG).words


def test_overrides_are_words_or_mappings() -> None:
    found = override_words(("model=mlp", {"optim.lr": 0.1, "data.classes": ["a b"], "name": "x y", "data.mean": None}))
    assert found == ("model=mlp", "optim.lr=0.1", 'data.classes=["a b"]', 'name="x y"', "data.mean=null")
    assert override_words(({"optim.lr": np.float64(0.5)},)) == ("optim.lr=0.5",)
    with pytest.raises(ConfigError) as caught:
        override_words((0.1,))
    assert caught.value.problems[0].code == "invalid-type"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, ()),
        ("digits", ("data=digits",)),
        ("people.csv", ("data=csv", "data.path=people.csv")),
        (Path("a b/people.parquet"), ("data=parquet", 'data.path="a b/people.parquet"')),
        ("x.npz", ("data=arrays", "data.path=x.npz")),
        ("digts", ("data=digts",)),  # refused by the configuration, which names digits
    ],
)
def test_names_and_paths_choose_an_option(data: object, words: tuple[str, ...]) -> None:
    assert words_of(data) == words
    assert words_of(data, "y z") == (*words, 'data.target="y z"')


def test_a_directory_holds_images(tmp_path: Path) -> None:
    assert words_of(tmp_path)[0] == "data=image_folder"


def test_a_frame_is_handed_over_with_its_target() -> None:
    found = data_argument(FRAME, "b", (), CATALOG)
    assert found.words == ("data=dataframe", "data.target=b")
    assert found.given is FRAME
    target = pd.Series([0, 1, 0], name="label")
    joined = data_argument(FRAME, target, (), CATALOG)
    assert joined.words == ("data=dataframe", "data.target=label")
    assert isinstance(joined.given, pd.DataFrame)
    assert joined.given["label"].tolist() == [0, 1, 0]
    assert words_of(FRAME, np.array([0, 1, 0])) == ("data=dataframe", "data.target=target")
    assert words_of(FRAME, FRAME["b"]) == ("data=dataframe", "data.target=b")
    assert "label" not in FRAME


@pytest.mark.parametrize(
    "target",
    [pd.Series([0, 1], name="c"), pd.Series([0, 1, 1], index=[5, 6, 7], name="c"), pd.Series([9, 9, 9], name="a")],
)
def test_a_target_that_does_not_fit_is_refused(target: object) -> None:
    with pytest.raises(ConfigError) as caught:
        words_of(FRAME, target)
    assert caught.value.problems[0].where == "target"


def test_arrays_come_as_pairs_mappings_and_data_sets() -> None:
    x, y = torch.zeros(4, 2), torch.arange(4)
    for data, target in (((x, y), None), (TensorDataset(x, y), None), ({"x": x, "y": y}, None), (x, y)):
        found = data_argument(data, target, (), CATALOG)
        assert found.words == ("data=ndarrays",)
        assert isinstance(found.given, dict)
        assert {name: array.shape for name, array in found.given.items()} == {"x": (4, 2), "y": (4,)}


@pytest.mark.parametrize("data", [np.zeros((4, 2)), 3, [1, 2, 3], object()])
def test_other_data_is_refused_with_what_is_possible(data: object) -> None:
    with pytest.raises(ConfigError, match="DataFrame, a list of texts, arrays"):
        words_of(data)


def test_two_sources_of_data_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        words_of(FRAME, "b", "data=digits")
    assert caught.value.code == "cannot-combine"


def test_arrays_of_all_kinds() -> None:
    assert as_array(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert as_array(pd.Series(["a", "b"], dtype=object)).dtype.kind in "OU"
    assert as_array([[1, 2], [3, 4]]).shape == (2, 2)
