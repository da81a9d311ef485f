"""What files of the user's own may say: additions, shadows, and every refusal with file and line (R14, H6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_files import GLOBAL, own_catalog

from dlexp.config.compose import load
from dlexp.errors import ConfigError

EXPERIMENT = "experiment/mine.yaml"


def problem_of(folder: Path, files: dict[str, str], *words: str) -> str:
    catalog = own_catalog(folder, files)
    with pytest.raises(ConfigError) as caught:
        load(words, catalog)
    return str(caught.value).replace(str(folder / "my") + "/", "").replace("(my/", "(")


def test_own_option_is_composed(tmp_path: Path) -> None:  # H6
    catalog = own_catalog(tmp_path, {"model/net.yaml": "# Mine\n_target_: pkg.Net\nwidth: 3\n"})
    node = load(["model=net", "model.width=5"], catalog).model
    assert (node.target, node.arguments) == ("pkg.Net", {"width": 5})


def test_own_file_shadows_ours(tmp_path: Path) -> None:  # H6
    assert load([], own_catalog(tmp_path, {"trainer/default.yaml": "# x\nepochs: 99\n"})).trainer.epochs == 99


def test_experiment_chooses_groups_and_values(tmp_path: Path) -> None:
    text = "defaults:\n  - override /model: resnet18\n  - override /optim: sgd\noptim:\n  lr: 0.3\nseed: 7\n"
    catalog = own_catalog(tmp_path, {EXPERIMENT: GLOBAL + text})
    config = load(["experiment=mine", "optim.lr=0.4"], catalog)
    assert (config.model.option, config.optim.option, config.seed) == ("resnet18", "sgd", 7)
    assert config.optim.arguments["lr"] == 0.4


def test_experiment_extends_another(tmp_path: Path) -> None:
    catalog = own_catalog(
        tmp_path,
        {EXPERIMENT: GLOBAL + "defaults: [base, _self_]\nseed: 7\n", "experiment/base.yaml": GLOBAL + "name: b\n"},
    )
    config = load(["experiment=mine"], catalog)
    assert (config.seed, config.name) == (7, "b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "trainer:\n  epoch: 3\n",
            "trainer.epoch=3 (experiment/mine.yaml:4): is no key of this configuration; did you",
        ),
        ("optim:\n  lr: -1e-3\n", "optim.lr=-0.001 (experiment/mine.yaml:4): must be a number > 0"),
        ("optim:\n  lr: .nan\n", "optim.lr=nan (experiment/mine.yaml:4): must be a number > 0"),
        ("model:\n  hidden: [1, x]\n", "model.hidden=[1, x] (experiment/mine.yaml:4): must be a list of whole numbers"),
        (
            "optim:\n  momentum: 0.9\n",
            "optim.momentum=0.9 (experiment/mine.yaml:4): optim=adamw has no such key; optim=",
        ),
        ("seed: {a: 1}\n", "must be a whole number >= 0"),
        ("trainer: 5\n", "trainer=5: a file sets this section to a value"),
        ("trainer: null\n", "trainer=null: a file sets this section to a value"),
        ("model: null\n", "model=null (experiment/mine.yaml:3): is no key of this configuration"),
        ("trainer:\n  foo: {}\n", "trainer.foo={} (experiment/mine.yaml:4): is no key of this configuration"),
        ("hydra:\n  searchpath: [file:///tmp]\n", "hydra (experiment/mine.yaml:3): dlexp owns the run directory"),
        ("seed: 1\nseed: 2\n", "found duplicate key seed"),
        ("seed: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("- 1\n", "experiment/mine.yaml: must hold `key: value` lines"),
        ("hello\n", "experiment/mine.yaml: must hold `key: value` lines"),
        ("defaults: 3\n", "defaults (experiment/mine.yaml:3): must be a list"),
        ("seed: ${oc.env:DLEXP_NOPE}\n", "the environment variable DLEXP_NOPE is not set"),
    ],
)
def test_mistake_in_an_experiment_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert told in problem_of(tmp_path, {EXPERIMENT: GLOBAL + text}, "experiment=mine")


def test_values_that_reach_nothing_are_refused(tmp_path: Path) -> None:
    # Without the package line Hydra puts all values under `experiment`, where nobody reads them.
    found = problem_of(
        tmp_path, {EXPERIMENT: "# Mine\n# @package _global_\ntrainer:\n  epochs: 2\n"}, "experiment=mine"
    )
    assert "has no effect below another comment; make it the first line of the file" in found


@pytest.mark.parametrize(
    "entry",
    [
        "../../secret",
        "/../secret",
        "/etc/passwd",
        "override /model: ../../secret",
        "override /model: /etc/passwd",
        "override /model@_global_.data: mlp",
        "override /model@_here_: mlp",
        "override /hydra/launcher: basic",
        "override /../model: mlp",
        "model: mlp",
        "override /model: [mlp]",
        "override /model: ${seed}",
        "optional nope",
        "[base]",
    ],
)
def test_defaults_name_options_and_no_paths(tmp_path: Path, entry: str) -> None:  # R14
    (tmp_path / "secret.yaml").write_text("trainer:\n  epochs: 7\n")
    files = {EXPERIMENT: f"{GLOBAL}defaults:\n  - {entry}\n", "experiment/base.yaml": GLOBAL}
    assert "(experiment/mine.yaml:4)" in problem_of(tmp_path, files, "experiment=mine")


def test_option_in_defaults_gets_the_nearest_name(tmp_path: Path) -> None:
    files = {EXPERIMENT: GLOBAL + "defaults:\n  - override /model: resnet81\n"}
    assert "did you mean resnet18?" in problem_of(tmp_path, files, "experiment=mine")


def test_base_file_outside_the_group_is_refused(tmp_path: Path) -> None:  # R14
    (tmp_path / "secret.yaml").write_text("hidden: [3]\n")
    text = "# x\ndefaults: [../../secret, _self_]\n_target_: dlexp.models.mlp.mlp\n"
    assert "is no file of model" in problem_of(tmp_path, {"model/net.yaml": text}, "model=net")


@pytest.mark.parametrize("name", ["sub/net", "my.net"])
def test_file_that_cannot_be_an_option_is_none(tmp_path: Path, name: str) -> None:
    files = {f"model/{name}.yaml": "_target_: p.f\n", EXPERIMENT: f"{GLOBAL}defaults:\n  - override /model: {name}\n"}
    assert f"model={name} (experiment/mine.yaml:4): is no option of model" in problem_of(
        tmp_path, files, "experiment=mine"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("defaults:\n  - model: mlp\nseed: 3\n", "add - _self_"),
        ("defaults:\n  - model: mlp\n  - _self_\n", "data: config.yaml chooses no option of it"),
        ("hydra:\n  searchpath: [file:///tmp]\n", "hydra (config.yaml:1): dlexp owns"),
    ],
)
def test_own_config_file_is_held_to_the_same(tmp_path: Path, text: str, told: str) -> None:
    assert told in problem_of(tmp_path, {"config.yaml": text})


def test_bomb_in_an_own_file_is_refused_unexpanded(tmp_path: Path) -> None:  # R14
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
    )
    assert "expands to more than 10000 values" in problem_of(tmp_path, {"model/net.yaml": bomb}, "seed=1")
