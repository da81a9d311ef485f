from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog, builtin_root
from dlexp.config.files.yaml_files import leaves_of, read_yaml
from dlexp.errors import ConfigError

# 280 bytes that stand for ten thousand million values (R14).
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
)


def test_options_of_a_group_are_sorted_and_described() -> None:
    options = Catalog().options("model")
    assert list(options) == sorted(options)
    assert {"mlp", "resnet18", "simple_cnn"} <= options.keys()
    assert options["mlp"].description.startswith("Multilayer perceptron")


def test_keys_include_those_of_the_extended_file() -> None:
    keys = Catalog().keys("optim", "sgd")
    assert {"lr", "momentum", "decay_norms_and_biases"} <= keys.keys()
    assert keys["decay_norms_and_biases"].file.name == "_base.yaml"
    assert keys["lr"].file.name == "sgd.yaml"
    assert keys["lr"].file.read_text().splitlines()[keys["lr"].line - 1].startswith("lr:")


def test_keys_of_dlexp_are_not_keys_of_the_option() -> None:
    assert not [key for key in Catalog().keys("data", "digits") if key.startswith("_") or key == "defaults"]


def test_own_folder_adds_and_shadows(tmp_path: Path) -> None:  # H6
    catalog = own_catalog(
        tmp_path, {"model/mine.yaml": "# Mine\n_target_: p.f\n", "trainer/default.yaml": "# Long\nepochs: 99\n"}
    )
    assert catalog.options("model")["mine"].description == "Mine"
    assert "mlp" in catalog.options("model")
    assert catalog.keys("trainer", "default")["epochs"].text == "99"
    assert catalog.options("trainer")["smoke"].path.is_relative_to(builtin_root())


def test_own_rules_join_those_of_the_group(tmp_path: Path) -> None:
    fields = own_catalog(tmp_path, {"model/_fields.yaml": "width: {type: int, min: 2, help: units}\n"}).fields("model")
    assert fields["width"].minimum == 2
    assert fields["dropout"].below == 1


@pytest.mark.parametrize("text", ["width: {typ: int}\n", "width: {type: integer}\n", "width: 3\n", "- 3\n"])
def test_rule_file_that_says_nothing_known_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        own_catalog(tmp_path, {"model/_fields.yaml": text}).fields("model")
    refused(caught.value, "invalid-value", "model/_fields.yaml")


def test_missing_config_dir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Catalog((tmp_path / "nowhere",))
    refused(caught.value, "not-found", "--config-dir")


def test_folder_that_is_no_group_is_refused(tmp_path: Path) -> None:
    catalog = own_catalog(tmp_path, {"modle/mine.yaml": ""})
    with pytest.raises(ConfigError) as caught:
        _ = catalog.groups
    refused(caught.value, "unknown-value", "modle")


def test_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    catalog = own_catalog(tmp_path, {".git/x.yaml": "", "_old/y.yaml": ""})
    assert "model" in catalog.groups


def test_leaves_know_their_line_and_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("# x\na: 1\nb:\n  c: [512, relu]\n  d: {e: yes}\ndefaults: []\n_target_: f\n")
    found = leaves_of(path)
    assert {key: (leaf.line, leaf.text) for key, leaf in found.items()} == {
        "a": (2, "1"),
        "b.c": (4, "[512, relu]"),
        "b.d.e": (5, "yes"),
    }


def test_empty_file_has_no_leaves(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert leaves_of(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BOMB, "too-large"),
        ("a: &a [*a]\n", "too-large"),
        ("[" * 80 + "]" * 80, "too-large"),
        ("[" * 30_000, "too-large"),
        ("a: [1,\n", "invalid-syntax"),
        ("a: 1\n  b: 2\n", "invalid-syntax"),
        ("a" * 1_000_001, "too-large"),
    ],
)
def test_file_that_would_explode_or_is_no_yaml_is_refused(tmp_path: Path, text: str, code: str) -> None:  # R14
    path = tmp_path / "evil.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    refused(caught.value, code, "evil.yaml")


def test_bomb_is_as_small_as_the_promise_says() -> None:
    assert len(BOMB) <= 280


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: Müller".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    refused(caught.value, "invalid-syntax", "latin.yaml")


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path / "none.yaml")
    refused(caught.value, "not-found", "none.yaml")


def test_a_file_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text("# A layer\ndefaults:\n  - own\n_target_: torch.nn.Linear\n")
    with pytest.raises(ConfigError) as caught:
        load(["model=own"], Catalog((tmp_path,)))
    refused(caught.value, "invalid-syntax", "the configuration files")
