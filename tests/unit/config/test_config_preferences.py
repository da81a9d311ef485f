"""What a model prefers of other groups and keys: the user wins, an experiment wins, and every derived run keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from outside_package import own_catalog

from dlexp.config import compose as composing
from dlexp.config.compose import load
from dlexp.config.derive import repeat, resumed_config
from dlexp.config.explain import sources
from dlexp.config.files.catalog import Catalog
from dlexp.config.given.overrides import with_files
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.config.schema.tree import value_at

FILES = {
    "model/gan.yaml": """# A model with preferences
_target_: dlexp.models.generative.autoencoder.autoencoder
_inputs_: [image, tabular]
_prefers_:
  task: reconstruction
  optim: sgd
  optim.momentum: 0.5
  optim.nothing: 3
  data.augment: none
  trainer.epochs: 7
hidden: [8]
latent: 2
""",
    "experiment/short.yaml": "# @package _global_\n# An experiment\ndefaults:\n  - override /model: gan\n"
    "  - override /optim: rmsprop\ntrainer:\n  epochs: 2\n",
}
KEYS = ("data.augment", "trainer.epochs", "optim.momentum")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    yield own_catalog(tmp_path, FILES)


def found(catalog: Catalog, *words: str) -> tuple[Any, ...]:
    config = load(words, catalog)
    return config.task.option, config.optim.option, *(value_at(config.tree, key) for key in KEYS)


def test_a_model_brings_options_and_values_where_nobody_decides(catalog: Catalog) -> None:
    config = load(["model=gan"], catalog)
    assert of(config) == ("reconstruction", "sgd", "none", 7, 0.5)
    assert "nothing" not in config.tree["optim"]


def test_the_user_wins_with_options_values_and_defaults(catalog: Catalog) -> None:
    assert found(catalog, "model=gan", "optim=rmsprop") == ("reconstruction", "rmsprop", "none", 7, 0.0)
    words = ("model=gan", "data.augment=crop", "optim.momentum=0.9", "trainer.epochs=30")
    assert found(catalog, *words) == ("reconstruction", "sgd", "crop", 30, 0.9)


def test_an_experiment_wins(catalog: Catalog) -> None:
    assert found(catalog, "experiment=short", "trainer.epochs=3") == ("reconstruction", "rmsprop", "none", 3, 0.0)
    assert found(catalog, "experiment=short", "optim=sgd") == ("reconstruction", "sgd", "none", 2, 0.5)


def test_explain_names_the_file_of_the_model(catalog: Catalog) -> None:
    def origins(*words: str) -> dict[str, str]:
        return {each["key"]: each["origin"] for each in sources(load(words, catalog), words, catalog)}

    place = "my/model/gan.yaml:"
    preferred = origins("model=gan", "trainer.epochs=3")
    assert preferred["optim.momentum"].endswith(f"{place}7") and preferred["data.augment"].endswith(f"{place}9")
    assert preferred["model.latent"].endswith(f"{place}12") and preferred["trainer.epochs"] == "command line"
    decided = origins("experiment=short")
    assert decided["trainer.epochs"].endswith("short.yaml:7")
    assert decided["optim.momentum"].startswith("conf/optim/rmsprop.yaml:")


def run_of(folder: Path, catalog: Catalog, *words: str) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(load(words, catalog)))
    (folder / "overrides.yaml").write_text(overrides_to_yaml(list(words)))
    return folder


def of(config: Any) -> tuple[Any, ...]:
    return config.task.option, config.optim.option, *(value_at(config.tree, key) for key in KEYS)


@pytest.mark.parametrize("more", [("optim=rmsprop",), ("data.augment=crop", "trainer.epochs=30")])
def test_runs_that_are_repeated_and_resumed_keep_what_held(
    catalog: Catalog, tmp_path: Path, more: tuple[str, ...]
) -> None:
    words = ("model=gan", *more)
    folder = run_of(tmp_path / "run", catalog, *words)
    again, changes = repeat(folder, ["model.latent=3"], catalog)
    assert of(again) == found(catalog, *words) and [change.path for change in changes] == ["model.latent"]
    resumed, changes = resumed_config(folder, ["trainer.epochs=40"], catalog)
    assert [change.path for change in changes] == ["trainer.epochs"] and of(resumed)[:3] == of(again)[:3]


def test_a_run_with_another_model_takes_the_preferences_of_that_one(catalog: Catalog, tmp_path: Path) -> None:
    gan = run_of(tmp_path / "gan", catalog, "model=gan", "seed=3")
    mlp = run_of(tmp_path / "mlp", catalog, "model=mlp", "trainer.epochs=5")
    assert of(repeat(mlp, ["model=gan"], catalog)[0]) == ("reconstruction", "sgd", "none", 5, 0.5)
    plain = load(["model=mlp"], catalog)
    assert of(repeat(gan, ["model=mlp"], catalog)[0]) == of(plain)


@pytest.mark.parametrize(
    "more", [("optim=adamw",), ("optim=sgd", "optim.momentum=0.9", "data.augment=crop", "trainer.epochs=30")]
)
def test_a_printed_configuration_composes_itself(catalog: Catalog, tmp_path: Path, more: tuple[str, ...]) -> None:
    config = load(["model=gan", *more], catalog)
    (tmp_path / "my.yaml").write_text(to_yaml(config))
    again = load(with_files([tmp_path / "my.yaml"], [], catalog), catalog)
    assert again.tree == config.tree and again.choices == config.choices


@pytest.mark.parametrize("words", [["experiment=short"], ["model=gan"], ["experiment=short", "model=gan"], ["seed=1"]])
def test_a_configuration_is_composed_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    calls, compose = [], composing.compose

    def counted(*given: Any) -> Any:
        calls.append(given)
        return compose(*given)

    monkeypatch.setattr(composing, "compose", counted)
    load(words, catalog)
    assert len(calls) == 1
