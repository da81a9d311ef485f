from __future__ import annotations

import pytest

from dlexp.config.check.suggest import all_paths, nearest_path, option_meant
from dlexp.config.files.catalog import Catalog
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
        ("sead", "seed"),
        ("qqqqqq", None),
    ],
)
def test_nearest_path_over_the_whole_configuration(path: str, found: str | None) -> None:
    assert nearest_path(path, all_paths(Catalog())) == found


def test_paths_know_which_options_have_them() -> None:
    paths = all_paths(Catalog())
    assert paths["optim.momentum"] == tuple(f"optim={n}" for n in ("lookahead", "muon", "rmsprop", "sam", "sgd"))
    assert paths["optim.lr"] == tuple(f"optim={name}" for name in Catalog().options("optim"))
    assert paths["trainer.epochs"] == paths["seed"] == ()


@pytest.mark.parametrize(
    ("word", "found"),
    [("resnet18", "model=resnet18"), ("resnet81", "model=resnet18"), ("iris", "data=iris"), ("zz", None)],
)
def test_bare_word_is_an_option_of_some_group(word: str, found: str | None) -> None:
    assert option_meant(word, Catalog()) == found
