"""A past run again (`--from`) and a run that goes on (`--resume`): what is kept, what may change, what is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.derive import CHANGEABLE, Change, config_changes, repeat, resumed_config
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.errors import ConfigError


def run_folder(folder: Path, words: list[str], catalog: Catalog | None = None) -> Path:
    """A folder that holds what a run with `words` keeps of its configuration."""
    run = folder / "run"
    run.mkdir()
    (run / "config.yaml").write_text(to_yaml(load(words, catalog or Catalog())))
    (run / "overrides.yaml").write_text(overrides_to_yaml(words))
    return run


WORDS = ["model=resnet18", "optim=sgd", "optim.lr=1e-5", "data.batch_size=17", "seed=3", "trainer.epochs=4"]


def test_repetition_without_words_is_the_same_run(tmp_path: Path) -> None:  # H9
    config, changes = repeat(run_folder(tmp_path, WORDS), [], Catalog())
    assert config == load(WORDS, Catalog())
    assert changes == []


def test_default_that_changed_since_changes_nothing(tmp_path: Path) -> None:
    before = own_catalog(
        tmp_path, {"trainer/default.yaml": "# x\nepochs: 11\n", "model/mlp.yaml": NET.format(dropout=0.3)}
    )
    run = run_folder(tmp_path, ["optim.lr=0.5"], before)
    after = own_catalog(
        tmp_path, {"trainer/default.yaml": "# x\nepochs: 22\n", "model/mlp.yaml": NET.format(dropout=0.4)}
    )
    assert load([], after).trainer.epochs == 22
    config, changes = repeat(run, [], after)
    assert (config.trainer.epochs, config.model.arguments["dropout"]) == (11, 0.3)
    assert config.optim.arguments["lr"] == 0.5
    assert changes == []


NET = "# x\n_target_: dlexp.models.mlp.mlp\nhidden: [8]\ndropout: {dropout}\n"


def test_group_whose_option_changes_drops_its_saved_values(tmp_path: Path) -> None:
    run = run_folder(tmp_path, ["optim=adamw", "optim.lr=0.5", "seed=3"])
    config, changes = repeat(run, ["optim=sgd"], Catalog())
    assert config.optim.arguments["lr"] == load(["optim=sgd"], Catalog()).optim.arguments["lr"]
    assert config.seed == 3
    by_path = {change.path: (change.before, change.after) for change in changes}
    assert by_path["optim.lr"] == (0.5, 0.05)
    assert by_path["optim.momentum"] == (None, 0.9)
    assert by_path["optim.amsgrad"] == (False, None)
    assert {path.partition(".")[0] for path in by_path} == {"optim"}


def test_words_decide_over_saved_values_and_are_reported(tmp_path: Path) -> None:
    config, changes = repeat(run_folder(tmp_path, WORDS), ["seed=9", "optim.lr=0.25"], Catalog())
    assert (config.seed, config.optim.arguments["lr"]) == (9, 0.25)
    assert changes == [Change("optim.lr", 1e-5, 0.25), Change("seed", 3, 9)]


def test_other_data_bring_their_task(tmp_path: Path) -> None:
    config, changes = repeat(run_folder(tmp_path, []), ["data=diabetes"], Catalog())
    assert (config.choices["task"], config.choices["loss"]) == ("regression", "mse")
    assert "data.standardize" in {change.path for change in changes}


def test_wrong_words_are_told_as_for_a_new_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path, [])
    for word, code, remedy in (
        ("optim.lrr=1", "unknown-key", "optim.lr"),
        ("optim=sdg", "unknown-option", "optim=sgd"),
        ("seed=-1", "out-of-range", ""),
    ):
        with pytest.raises(ConfigError) as caught:
            repeat(run, [word], Catalog())
        refused(caught.value, code, word.partition("=")[0], remedy)


def table(folder: Path) -> list[str]:
    (folder / "t.csv").write_text("a,price,kind\n" + "\n".join(f"{n},{n * 1.5},{'xy'[n % 2]}" for n in range(30)))
    return ["data=csv", "data.path=t.csv", "data.target=kind"]


def test_repeated_table_keeps_its_kind_of_target(tmp_path: Path) -> None:
    run = run_folder(tmp_path, table(tmp_path))
    (tmp_path / "t.csv").unlink()  # the kind was settled then: no second look
    config, changes = repeat(run, ["seed=1"], Catalog())
    assert (config.choices["task"], config.data.arguments["target_kind"]) == ("classification", "class")
    assert [change.path for change in changes] == ["seed"]


def test_another_target_of_a_table_is_looked_at_again(tmp_path: Path) -> None:
    run = run_folder(tmp_path, table(tmp_path))
    config, _ = repeat(run, ["data.target=price"], Catalog())
    assert (config.choices["task"], config.data.arguments["target_kind"]) == ("regression", "value")


def test_table_instead_of_other_data_is_looked_at(tmp_path: Path) -> None:
    words = table(tmp_path)
    config, _ = repeat(run_folder(tmp_path, ["data=iris"]), words, Catalog())
    assert (config.choices["task"], config.data.arguments["target"]) == ("classification", "kind")


def test_run_goes_on_with_what_may_change(tmp_path: Path) -> None:
    run = run_folder(tmp_path, WORDS)
    config, changes = resumed_config(run, ["trainer.epochs=9", "logger.tensorboard=true"], Catalog())
    assert (config.trainer.epochs, config.logger.tensorboard, config.seed) == (9, True, 3)
    assert changes == [Change("logger.tensorboard", False, True), Change("trainer.epochs", 4, 9)]


def test_run_goes_on_unchanged(tmp_path: Path) -> None:
    assert resumed_config(run_folder(tmp_path, WORDS), [], Catalog()) == (load(WORDS, Catalog()), [])


@pytest.mark.parametrize(
    "word", ["optim.lr=1", "seed=1", "model=mlp", "data.batch_size=3", "trainer.precision=fp32", "name=x"]
)
def test_what_makes_it_another_run_is_refused(tmp_path: Path, word: str) -> None:
    run = run_folder(tmp_path, WORDS)
    with pytest.raises(ConfigError) as caught:
        resumed_config(run, ["trainer.epochs=9", word], Catalog())
    (problem,) = caught.value.problems
    assert (f"{problem.where}={problem.given}", problem.code) == (word, "not-supported")
    assert all(key in problem.rule for key in CHANGEABLE)
    assert problem.remedy.endswith(f"--from {run} {word}")


def test_value_of_a_run_that_goes_on_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resumed_config(run_folder(tmp_path, WORDS), ["trainer.epochs=0"], Catalog())
    refused(caught.value, "out-of-range", "trainer.epochs")


def test_every_changeable_key_exists() -> None:
    lines: tuple[list[str], ...] = (
        [],
        ["data=mnist"],
        ["data=image_folder", "data.path=a"],
        ["task=distillation", "task.teacher=a"],
    )
    trees = [load(words, Catalog()).tree for words in lines]
    for key in CHANGEABLE:
        group, name = key.split(".")
        assert any(name in tree[group] for tree in trees)


def test_differences_see_changed_new_and_gone_keys() -> None:
    found = config_changes({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "e": None, "f": 3})
    assert found == [Change("a.c", [1], [2]), Change("d", 2, None), Change("f", None, 3)]
