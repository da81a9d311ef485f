"""What files of the user's own may say: additions, shadows, and every refusal with file and line (R14, H6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import GLOBAL, own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.errors import ConfigError

EXPERIMENT = "experiment/mine.yaml"


def refusal_of(folder: Path, files: dict[str, str], *words: str) -> ConfigError:
    catalog = own_catalog(folder, files)
    with pytest.raises(ConfigError) as caught:
        load(words, catalog)
    return caught.value


def places(error: ConfigError) -> set[str]:
    """The lines that the problems name."""
    return {problem.origin.partition("my/")[2] for problem in error.problems}


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
    ("text", "code", "where", "line"),
    [
        ("trainer:\n  epoch: 3\n", "unknown-key", "trainer.epoch", 4),
        ("optim:\n  lr: -1e-3\n", "out-of-range", "optim.lr", 4),
        ("optim:\n  lr: .nan\n", "out-of-range", "optim.lr", 4),
        ("model:\n  hidden: [1, x]\n", "invalid-type", "model.hidden", 4),
        ("optim:\n  momentum: 0.9\n", "unknown-key", "optim.momentum", 4),
        ("seed: {a: 1}\n", "invalid-type", "seed", 0),
        ("trainer: 5\n", "invalid-type", "trainer", 0),
        ("trainer: null\n", "invalid-type", "trainer", 0),
        ("model: null\n", "unknown-key", "model", 3),
        ("trainer:\n  foo: {}\n", "unknown-key", "trainer.foo", 4),
        ("hydra:\n  searchpath: [file:///tmp]\n", "not-supported", "hydra", 3),
        ("seed: 1\nseed: 2\n", "invalid-syntax", "the configuration files", 0),
        ("seed: !!python/object/apply:os.system [ls]\n", "invalid-syntax", "the configuration files", 0),
        ("- 1\n", "invalid-syntax", "experiment/mine.yaml", 0),
        ("hello\n", "invalid-syntax", "experiment/mine.yaml", 0),
        ("defaults: 3\n", "invalid-type", "defaults", 3),
        ("seed: ${oc.env:DLEXP_NOPE}\n", "missing-value", "seed", 0),
    ],
)
def test_mistake_in_an_experiment_is_told_with_its_line(
    tmp_path: Path, text: str, code: str, where: str, line: int
) -> None:
    error = refusal_of(tmp_path, {EXPERIMENT: GLOBAL + text}, "experiment=mine")
    refused(error, code, where)
    assert (f"experiment/mine.yaml:{line}" if line else "") in places(error)


@pytest.mark.parametrize(
    ("text", "remedy"), [("trainer:\n  epoch: 3\n", "trainer.epochs"), ("seed: ${oc.env:DLEXP_NOPE}\n", "DLEXP_NOPE")]
)
def test_mistake_in_an_experiment_has_a_remedy(tmp_path: Path, text: str, remedy: str) -> None:
    (problem,) = refusal_of(tmp_path, {EXPERIMENT: GLOBAL + text}, "experiment=mine").problems
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed: 1\nseed: 2\n", "found duplicate key seed"),
        ("seed: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
    ],
)
def test_reason_of_the_yaml_parser_is_passed_on(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in str(refusal_of(tmp_path, {EXPERIMENT: GLOBAL + text}, "experiment=mine"))


def test_values_that_reach_nothing_are_refused(tmp_path: Path) -> None:
    # Without the package line Hydra puts all values under `experiment`, where nothing reads them.
    error = refusal_of(
        tmp_path, {EXPERIMENT: "# Mine\n# @package _global_\ntrainer:\n  epochs: 2\n"}, "experiment=mine"
    )
    refused(error, "no-effect", "# @package _global_", "first line")
    assert places(error) == {"experiment/mine.yaml:2"}


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
    error = refusal_of(tmp_path, files, "experiment=mine")
    assert "experiment/mine.yaml:4" in places(error)


def test_option_in_defaults_gets_the_nearest_name(tmp_path: Path) -> None:
    files = {EXPERIMENT: GLOBAL + "defaults:\n  - override /model: resnet81\n"}
    refused(refusal_of(tmp_path, files, "experiment=mine"), "unknown-option", "model", "resnet18")


def test_base_file_outside_the_group_is_refused(tmp_path: Path) -> None:  # R14
    (tmp_path / "secret.yaml").write_text("hidden: [3]\n")
    text = "# x\ndefaults: [../../secret, _self_]\n_target_: dlexp.models.mlp.mlp\n"
    refused(refusal_of(tmp_path, {"model/net.yaml": text}, "model=net"), "not-found", "defaults")


@pytest.mark.parametrize("name", ["sub/net", "my.net"])
def test_file_that_cannot_be_an_option_is_none(tmp_path: Path, name: str) -> None:
    files = {f"model/{name}.yaml": "_target_: p.f\n", EXPERIMENT: f"{GLOBAL}defaults:\n  - override /model: {name}\n"}
    error = refusal_of(tmp_path, files, "experiment=mine")
    refused(error, "unknown-option", "model")
    assert [(problem.where, problem.given) for problem in error.problems] == [("model", name)]
    assert places(error) == {"experiment/mine.yaml:4"}


@pytest.mark.parametrize(
    ("text", "code", "where", "remedy", "line"),
    [
        ("defaults:\n  - model: mlp\nseed: 3\n", "missing-value", "defaults", "- _self_", 1),
        ("defaults:\n  - model: mlp\n  - _self_\n", "missing-value", "data", "", 0),
        ("hydra:\n  searchpath: [file:///tmp]\n", "not-supported", "hydra", "", 1),
    ],
)
def test_own_config_file_is_held_to_the_same(
    tmp_path: Path, text: str, code: str, where: str, remedy: str, line: int
) -> None:
    error = refusal_of(tmp_path, {"config.yaml": text})
    refused(error, code, where, remedy)
    assert places(error) == ({f"config.yaml:{line}"} if line else {""})


def test_bomb_in_an_own_file_is_refused_unexpanded(tmp_path: Path) -> None:  # R14
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
    )
    refused(refusal_of(tmp_path, {"model/net.yaml": bomb}, "model=net"), "too-large", "model/net.yaml")


FILES = {
    "model/broken.yaml": "width: [3\n",
    "model/wrong.yaml": "# @package _global_\nhidden: [3]\n",
    "model/mine.yaml": "# Mine\ndefaults: [mlp, _self_]\nhidden: [8]\n",
    "model/extended.yaml": "defaults: [broken, _self_]\n",
    "experiment/chosen.yaml": f"{GLOBAL}\ndefaults:\n  - override /model: broken\n",
    "metrics/cost.yaml": "x: [\n",
}


@pytest.mark.parametrize("words", [[], ["model=mine"], ["model=mlp", "optim.lr=0.1"], ["metrics=[f1_macro]"]])
def test_broken_file_stops_no_run_that_does_not_use_it(tmp_path: Path, words: list[str]) -> None:
    load(words, own_catalog(tmp_path, FILES))


@pytest.mark.parametrize(
    ("word", "file"),
    [
        ("model=broken", "model/broken.yaml"),
        ("model=wrong", "model/wrong.yaml:1"),
        ("model=extended", "model/broken.yaml"),
        ("experiment=chosen", "model/broken.yaml"),
        ("metrics=[cost]", "metrics/cost.yaml"),
    ],
)
def test_broken_file_is_refused_where_it_is_chosen_extended_or_named(tmp_path: Path, word: str, file: str) -> None:
    error = refusal_of(tmp_path, FILES, word)
    assert [problem.origin or problem.where for problem in error.problems] == [str(tmp_path / "my" / file)]


def test_files_that_every_run_reads_are_checked_together(tmp_path: Path) -> None:
    error = refusal_of(tmp_path, {"model/_base.yaml": "a: [", "config.yaml": "defaults: [\n", **FILES})
    assert len(error.problems) == 2
