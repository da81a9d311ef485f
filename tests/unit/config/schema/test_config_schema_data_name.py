"""The name of the data of a run, in the name of its directory and in tables."""

from pathlib import Path

import pytest

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.data_name import NAMED_BY, data_name, safe_name

PUBLISHED = {"imagenet"}  # its files have to be there, and its name is known


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("people.csv", "people"),
        ("/data/My people (2024).csv", "My-people-2024"),
        ("x/people.csv.gz", "people"),
        ("people.tsv.zst", "people"),
        ("sales.v1.2", "sales.v1.2"),
        ("sales.2024.csv", "sales.2024"),
        ("Straße été.csv", "Straße-été"),
        ("人口.csv", "人口"),
        ("-rf.csv", "rf"),
        (".hidden.csv", "hidden"),
        ("con.csv", "csv"),
        ("LPT1.csv", "csv"),
        ("latest.csv", "csv"),
        ("???.csv", "csv"),
        ("..", "csv"),
        (".", "csv"),
        ("a\nb\x1b[31m.csv", "a-b-31m"),
        ("${oc.env:SECRET}.csv", "csv"),
        (b"\xff\xfe-people.csv".decode(errors="surrogateescape"), "people"),
        (None, "csv"),
        ("???", "csv"),
    ],
)
def test_own_data_is_called_by_its_file(path: str | None, name: str) -> None:
    assert data_name("csv", {"path": path}) == name


@pytest.mark.parametrize("letter", ["x", "人", "é", "🙂", "e\u0301"])
def test_a_long_name_is_cut_and_stays_valid(letter: str) -> None:
    found = safe_name(letter * 300)
    assert len(found) <= 40
    assert len(found.encode()) <= 100


@pytest.mark.parametrize(
    ("option", "arguments", "name"),
    [
        ("image_folder", {"path": "photos/of cats/"}, "of-cats"),
        ("parquet", {"path": "people.parquet"}, "people"),
        ("arrays", {"path": "scans.npz"}, "scans"),
        ("huggingface", {"folder": None, "name": "ylecun/mnist"}, "mnist"),
        ("huggingface", {"folder": "saved/pets", "name": None}, "pets"),
        ("mnist", {"path": "datasets"}, "mnist"),
        ("digits", {}, "digits"),
        ("dataframe", {"target": "y"}, "dataframe"),
    ],
)
def test_each_option_has_its_name(option: str, arguments: dict[str, object], name: str) -> None:
    assert data_name(option, arguments) == name


def test_every_option_for_own_files_is_named_by_them() -> None:
    catalog = Catalog()
    leaves = {option: catalog.keys("data", option).get("path") for option in catalog.options("data")}
    needs_path = {option for option, leaf in leaves.items() if leaf is not None and leaf.text == "???"}
    assert needs_path - PUBLISHED <= set(NAMED_BY)


def test_name_takes_the_place_of_model_and_data(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("a,y\n" + "1,x\n2,z\n" * 20)
    words = ["data=csv", f"data.path={path}", "data.target=y"]
    config = load(words, Catalog())
    assert (config.run_name, config.data_title) == ("mlp-people", "people (csv)")
    assert load([*words, "name=mine"], Catalog()).run_name == "mine"
    default = load([], Catalog())
    assert (default.run_name, default.data_title) == ("mlp-digits", "digits")
