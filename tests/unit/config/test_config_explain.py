from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import GLOBAL, own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.explain import explain, flat, sources
from dlexp.config.files.catalog import Catalog, builtin_root
from dlexp.errors import ConfigError


def test_key_from_a_file_is_explained() -> None:
    found = explain("optim.lr", load([], Catalog()), [], Catalog())
    assert (found["value"], found["default"], found["rule"]) == (0.002, "2e-3", "a number > 0, or auto")
    assert found["help"].startswith("learning rate")
    assert found["read_by"] == "dlexp.optim.optimizers.adam.adamw"
    file, _, line = found["origin"].rpartition(":")
    assert file == "conf/optim/adamw.yaml"
    assert (builtin_root().parent / file).read_text().splitlines()[int(line) - 1].startswith("lr:")


def test_key_from_the_command_line_is_explained() -> None:
    words = ["optim.lr=0.5"]
    found = explain("optim.lr", load(words, Catalog()), words, Catalog())
    assert (found["value"], found["default"], found["origin"]) == (0.5, "2e-3", "command line")


def test_default_of_the_schema_is_explained() -> None:
    found = explain("trainer.accumulate", load([], Catalog()), [], Catalog())
    assert (found["value"], found["default"], found["origin"]) == (1, 1, "default of the schema")
    assert found["read_by"] == "dlexp"


def test_routed_value_names_both_places() -> None:
    words = ["regularization.dropout=0.5"]
    found = explain("model.dropout", load(words, Catalog()), words, Catalog())
    assert (found["value"], found["origin"]) == (0.5, "regularization.dropout, from command line")


def test_list_is_shown_as_written() -> None:
    assert explain("model.hidden", load([], Catalog()), [], Catalog())["default"] == "[512, 256]"


def test_own_keys_are_read_by_dlexp() -> None:
    assert explain("data.batch_size", load([], Catalog()), [], Catalog())["read_by"] == "dlexp"


def test_key_that_is_not_there_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        explain("optim.lrr", load([], Catalog()), [], Catalog())
    refused(caught.value, "unknown-key", "--explain", "optim.lr")
    assert [problem.given for problem in caught.value.problems] == ["optim.lrr"]


def test_every_value_has_a_source(tmp_path: Path) -> None:  # H6
    catalog = own_catalog(tmp_path, {"experiment/e.yaml": GLOBAL + "optim:\n  lr: 0.3\n"})
    words = ["experiment=e", "seed=5"]
    config = load(words, catalog)
    found = {row["key"]: row for row in sources(config, words, catalog)}
    assert found.keys() == flat(config).keys()
    assert found["optim.lr"]["origin"] == str(Path("my/experiment/e.yaml:4"))
    assert found["seed"]["origin"] == "command line"
    assert found["model.dropout"]["origin"].rpartition(":")[0].endswith("mlp.yaml")
    assert not [key for key in found if key.rpartition(".")[2].startswith("_")]


def test_key_of_a_phase_is_explained_whether_the_line_sets_it_or_not() -> None:
    path, words = "optim.phases.train.lr", ["optim.lr=0.3"]
    found = explain(path, load(words, Catalog()), words, Catalog())
    assert (found["key"], found["value"], found["default"]) == (path, 0.3, "2e-3")
    assert found["origin"] == "optim.lr, from command line"
    words = [f"{path}=0.2"]
    found = explain(path, load(words, Catalog()), words, Catalog())
    assert (found["value"], found["default"], found["origin"]) == (0.2, "2e-3", "command line")


@pytest.mark.parametrize(
    ("path", "code", "remedy"),
    [
        ("optim.phases.critic.lr", "unknown-key", "Available: train"),
        ("optim.phases.train.lrr", "unknown-key", "optim.phases.train.lr"),
        ("optim.phases.train.groups", "not-supported", "Set optim.groups"),
        ("optim.phases.train", "unknown-key", "optim.phases.train.KEY"),
        ("trainer", "unknown-key", "trainer.epochs"),
    ],
)
def test_phase_or_section_that_is_no_key_is_named(path: str, code: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        explain(path, load([], Catalog()), [], Catalog())
    (problem,) = caught.value.problems
    assert problem.code == code and remedy in problem.remedy
