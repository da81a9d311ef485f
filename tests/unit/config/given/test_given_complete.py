"""A complete configuration given back composes itself: every option of every group, and values of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from combinations import some_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outside_package import own_catalog
from refusals import refused

from dlexp.config.compose import MISSING, load, load_shown, load_unfitted
from dlexp.config.files.catalog import Catalog
from dlexp.config.given.overrides import with_files
from dlexp.config.saved import to_yaml
from dlexp.config.schema.names import GROUPS
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError

_TURNS = 76  # the largest number of options of a group; a test below counts
_CASES = [(turn,) for turn in range(_TURNS)]


def given_back(config: RunConfig, folder: Path, *line: str) -> tuple[str, ...]:
    path = folder / "my.yaml"
    path.write_text("# a comment\n" + to_yaml(config))
    return with_files([path], line, Catalog())


@pytest.mark.parametrize("turn", some_of(_CASES, {(turn,) for turn in range(0, _TURNS, 5)}))
def test_every_option_of_every_group_composes_itself(tmp_path: Path, turn: int) -> None:
    catalog = Catalog()
    groups = {group: list(catalog.options(group)) for group in GROUPS if group != "experiment"}
    words = [f"{group}={options[turn % len(options)]}" for group, options in groups.items()]
    config = load_unfitted(words, catalog)
    assert load_unfitted(given_back(config, tmp_path), catalog) == config


def test_the_turns_reach_every_option() -> None:
    catalog = Catalog()
    assert max(len(catalog.options(group)) for group in GROUPS) <= _TURNS


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
_LIKE_OTHERS = ("1e3", "007", "yes", "null", "~", "1:30", "2024-01-01")  # read as another type by YAML or the grammar


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    column=_TEXTS,
    drop=st.lists(st.one_of(_TEXTS, st.sampled_from(_LIKE_OTHERS)), max_size=3),
    rate=st.floats(1e-300, 1e10),
    sizes=st.lists(st.integers(1, 5000), max_size=3),
    dropout=st.one_of(st.none(), st.floats(0, 0.9)),
    test=st.booleans(),
)  # fmt: skip
def test_values_of_every_kind_compose_themselves(
    tmp_path: Path, column: str, drop: list[str], rate: float, sizes: list[int], dropout: float | None, test: bool
) -> None:
    from dlexp.text.quoting import value

    words = [
        *("data=csv", "data.path=a.csv", f"data.target={value(column)}", f"data.missing_values={value(drop)}"),
        *(f"optim.lr={rate}", f"model.hidden={value(sizes)}", f"trainer.test={value(test)}", "model=mlp_dropout"),
        *(f"regularization.dropout={value(dropout)}", "data.target_kind=class"),
    ]
    config = load_unfitted(words, Catalog())
    assert load_unfitted(given_back(config, tmp_path), Catalog()) == config


def test_only_what_differs_becomes_a_word(tmp_path: Path) -> None:
    config = load(["data=diabetes", "optim.lr=0.1", "loss=huber", "seed=3"], Catalog())
    words = given_back(config, tmp_path)
    assert set(words) == {"model=mlp", "data=diabetes", "optim=adamw", "loss=huber", "optim.lr=0.1", "seed=3"}


@pytest.mark.parametrize("name", ["digits_resnet18", "diabetes_mlp"])
def test_experiments_compose_themselves(tmp_path: Path, name: str) -> None:
    config = load([f"experiment={name}"], Catalog())
    assert load(given_back(config, tmp_path), Catalog()) == config


def test_group_chosen_later_takes_the_values_of_its_option(tmp_path: Path) -> None:
    config = load(["model.hidden=[8]", "loss=focal", "trainer.epochs=3"], Catalog())
    found = load(given_back(config, tmp_path, "model=simple_cnn"), Catalog())
    assert (found.model.option, found.loss.option, found.trainer.epochs) == ("simple_cnn", "focal", 3)
    assert found == load(["model=simple_cnn", "loss=focal", "trainer.epochs=3"], Catalog())
    same = load(given_back(config, tmp_path, "model=mlp"), Catalog())
    assert same.model.arguments["hidden"] == [8]
    swept = given_back(config, tmp_path, "model=mlp,simple_cnn")
    assert not any(word.startswith("model.hidden") for word in swept)


def test_data_chosen_later_bring_their_task(tmp_path: Path) -> None:
    found = load(given_back(load(["seed=3"], Catalog()), tmp_path, "data=diabetes"), Catalog())
    assert found == load(["seed=3", "data=diabetes"], Catalog())


def test_configuration_without_required_values_is_shown_and_given_back(tmp_path: Path) -> None:
    config, missing = load_shown(["data=csv", "optim.lr=0.1"], Catalog())
    assert missing == ["data.path", "data.target"]
    assert config.tree["data"]["path"] == MISSING
    words = given_back(config, tmp_path, "data.target=y")
    again, missing = load_shown(words, Catalog())
    assert missing == ["data.path"]
    assert again.tree["optim"] == config.tree["optim"]
    with pytest.raises(ConfigError) as caught:
        load(words, Catalog())
    refused(caught.value, "missing-value", "data.path", "data.path=")


def test_mapping_of_an_own_option_composes_itself(tmp_path: Path) -> None:
    catalog = own_catalog(
        tmp_path, {"model/mine.yaml": "_target_: torch.nn.Flatten\nparts: {a: 1, b: 2}\nnone: null\n"}
    )
    for words in (["model.parts.a=3"], ["model.parts={c:3}"], ["model.none={x:[1,2]}"], []):
        config = load_unfitted(["model=mine", *words], catalog)
        path = tmp_path / "my.yaml"
        path.write_text(to_yaml(config))
        assert load_unfitted(with_files([path], [], catalog), catalog) == config


def change(config: RunConfig, folder: Path, old: str, new: str) -> Any:
    path = folder / "my.yaml"
    text = to_yaml(config)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(with_files([path], [], Catalog()), Catalog())
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("_target_: dlexp.models.mlp.mlp", "_target_: os.system", "untrusted", "model._target_"),
        ("model: mlp", "model: mpl", "unknown-option", "model"),
        ("  model: mlp", "  modle: mlp", "unknown-key", "choices.modle"),
        ("seed: 42", "sed: 42", "unknown-key", "sed"),
        ("  epochs: 30", "  epochs: ten", "invalid-type", "trainer.epochs"),
        ("  lr: 0.002", "  rate: 3\n  lr: 0.002", "unknown-key", "optim.rate"),
    ],
)
def test_edits_are_checked_like_words(tmp_path: Path, old: str, new: str, code: str, where: str) -> None:
    error = change(load([], Catalog()), tmp_path, old, new)
    refused(error, code, where)
    assert "my.yaml:" in error.problems[0].origin


def test_complete_configuration_comes_first_and_alone(tmp_path: Path) -> None:
    full, part = tmp_path / "full.yaml", tmp_path / "part.yaml"
    full.write_text(to_yaml(load([], Catalog())))
    part.write_text("seed: 3\n")
    assert "seed=3" in with_files([full, part], [], Catalog())
    with pytest.raises(ConfigError) as caught:
        with_files([part, full], [], Catalog())
    refused(caught.value, "cannot-combine", "--config", f"--config {full} --config {part}")
    with pytest.raises(ConfigError) as caught:
        with_files([full], [], Catalog(), "--from")
    refused(caught.value, "cannot-combine", "--config")
    assert with_files([part], [], Catalog(), "--from") == ("seed=3",)
