from __future__ import annotations

import pytest

from dlexp.config.check.suggest import all_paths, nearest_path, option_meant
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.text.nearest import nearest_name


@pytest.mark.parametrize(
    ("word", "found"), [("resnet81", "resnet18"), ("MLP", "mlp"), ("simplecnn", "simple_cnn"), ("zzz", None)]
)
def test_nearest_name(word: str, found: str | None) -> None:
    assert nearest_name(word, ["mlp", "resnet18", "simple_cnn"]) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("lr", "optim.lr"),
        ("optimizer.lr", "optim.lr"),
        ("optim.lrr", "optim.lr"),
        ("trainer.epoch", "trainer.epochs"),
        ("epochs", "trainer.epochs"),
        ("early_stopping.patience", "regularization.early_stopping.patience"),
        ("model.hiden", "model.hidden"),
        ("data.units", "data.unit"),
        ("model.unit", "model.units"),
        ("sead", "seed"),
        ("qqqqqq", None),
    ],
)
def test_nearest_path_over_the_whole_configuration(path: str, found: str | None) -> None:
    assert nearest_path(path, all_paths(Catalog())) == found


def test_paths_know_which_options_have_them() -> None:
    paths = all_paths(Catalog())
    with_momentum = ("lookahead", "muon", "numpy_momentum", "numpy_nesterov", "rmsprop", "sam", "sgd")
    assert paths["optim.momentum"] == tuple(f"optim={name}" for name in with_momentum)
    assert paths["optim.lr"] == tuple(f"optim={name}" for name in Catalog().options("optim"))
    assert paths["trainer.epochs"] == paths["seed"] == ()


@pytest.mark.parametrize(
    ("word", "found"),
    [("resnet18", "model=resnet18"), ("resnet81", "model=resnet18"), ("iris", "data=iris"), ("zz", None)],
)
def test_bare_word_is_an_option_of_some_group(word: str, found: str | None) -> None:
    assert option_meant(word, Catalog()) == found


def test_one_letter_more_is_a_slip_and_no_name_of_another_tool() -> None:
    with pytest.raises(ConfigError) as caught:
        load(["data=docstrings", "model=lstm", "data.units=character", "data.max_len=9"], Catalog())
    found = {problem.where: problem.remedy for problem in caught.value.problems}
    assert found["data.units"] == "Did you mean data.unit=character?"
    assert found.keys() == {"data.units", "data.max_len"}


def test_a_key_of_another_option_with_one_letter_less_is_answered_with_the_own_key() -> None:
    with pytest.raises(ConfigError) as caught:
        load(["data=reverse", "model=transformer", "model.head=8"], Catalog())
    (problem,) = caught.value.problems
    assert problem.remedy == "Did you mean model.heads=8?" and problem.instead == ("model.heads=8",)


@pytest.mark.parametrize(("key", "word"), [("beam=3", "--beam 3"), ("max_length=9", "--max-length 9")])
def test_decoding_of_a_language_model_is_an_option_of_predict(key: str, word: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(["data=topics", "model=gpt", f"task.{key}"], Catalog())
    (problem,) = error.value.problems
    assert f"dlexp predict latest --text TEXT {word}" in problem.remedy
