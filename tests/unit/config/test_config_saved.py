"""What a run keeps of its configuration: everything but secrets, and equal when read again (H9, R15)."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import GLOBAL, own_catalog
from refusals import refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved, overrides_to_yaml, read_config, read_overrides, to_yaml
from dlexp.errors import ConfigError

SECRET = "s3cr3t-token"


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["optim.lr=1e-5", "optim.eps=1e-12", "optim.weight_decay=1e-300", "data.val_fraction=0.1234567890123456789"],
        ["optim.lr=0.1", "optim.weight_decay=1e5", "trainer.clip_norm=3"],
        ["data=diabetes", "model.hidden=[]", "regularization=light", "scheduler=plateau", "init_from=a"],
        ["model=resnet18", "optim=sgd", "scheduler=onecycle", "scheduler.final_div_factor=1e4"],
        ["name='yes'", "seed=0"],
        ["name='1e-3'"],
        ["name='null'"],
        ["name='a: b # c'"],
        ["name='12:30:00'"],
    ],
)
def test_saved_configuration_reads_back_equal(tmp_path: Path, words: list[str]) -> None:  # H9
    config = load(words, Catalog())
    assert load_saved(written(tmp_path, to_yaml(config))) == config


def test_saved_configuration_is_fully_resolved(tmp_path: Path) -> None:  # H9
    text = to_yaml(
        load(["seed=${trainer.epochs}", "data=csv", "data.path=a", "data.target=b", "task=regression"], Catalog())
    )
    assert "${" not in text
    assert "seed: 30" in text
    assert "???" not in text


def test_read_again_it_does_not_depend_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(["init_from=runs/a"], Catalog())
    path = written(tmp_path, to_yaml(config))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_saved(path).init_from == str(tmp_path / "runs/a")


@pytest.mark.parametrize("written_as", ["${oc.env:DLEXP_KEY}", "${ oc.env : DLEXP_KEY }", "key-${oc.env:DLEXP_KEY}-x"])
def test_secret_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_as: str) -> None:  # R15
    monkeypatch.setenv("DLEXP_KEY", SECRET)
    catalog = own_catalog(tmp_path, {"experiment/e.yaml": f"{GLOBAL}name: {written_as!r}\n"})
    config = load(["experiment=e"], catalog)
    text = to_yaml(config)
    assert SECRET in str(config.name)
    assert SECRET not in text
    assert config.tree["name"] == written_as
    assert load_saved(written(tmp_path, text)) == config


def test_secret_stays_a_name_through_a_detour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # R15
    monkeypatch.setenv("DLEXP_KEY", SECRET)
    files = {"model/net.yaml": "_target_: p.f\nkey: ${oc.env:DLEXP_KEY}\nvia: ${.key}\nlist: ['x-${model.via}', a]\n"}
    config = load(["model=net", "name=${model.via}"], own_catalog(tmp_path, files))
    assert config.name == SECRET
    assert config.model.arguments["list"] == [f"x-{SECRET}", "a"]
    text = to_yaml(config)
    assert SECRET not in text
    assert SECRET not in str(config.tree)
    assert load_saved(written(tmp_path, text)).name == SECRET


def test_words_are_kept_as_typed(tmp_path: Path) -> None:
    words = ["name=${oc.env:DLEXP_KEY}", "model.hidden=[1,2]", "name='a b'", "seed=1"]
    path = tmp_path / "overrides.yaml"
    path.write_text(overrides_to_yaml(words))
    assert read_overrides(path) == words
    assert read_overrides(tmp_path / "none.yaml") == []


def test_changes_are_applied_and_checked(tmp_path: Path) -> None:
    path = written(tmp_path, to_yaml(load([], Catalog())))
    assert load_saved(path, {"trainer.epochs": 77}).trainer.epochs == 77
    with pytest.raises(ConfigError) as caught:
        load_saved(path, {"trainer.epochs": 0})
    refused(caught.value, "out-of-range", "trainer.epochs")


@pytest.mark.parametrize(
    ("old", "new", "code", "where", "remedy"),
    [
        ("epochs: 30", "epochs: -3", "out-of-range", "trainer.epochs", ""),
        ("epochs: 30", "epochs: 30\n  epoch: 3", "unknown-key", "trainer.epoch", "trainer.epochs"),
        ("seed: 42", "seed: 42\nsead: 1", "unknown-key", "sead", "seed"),
        ("seed: 42", "seed: 42\nseed: 43", "corrupted", "config.yaml", ""),
        ("seed: 42", "seed: !!python/name:os.system", "corrupted", "config.yaml", ""),
        ("seed: 42", "seed: {a: 1}", "invalid-type", "seed", ""),
        ("choices:", "choice:", "corrupted", "config.yaml", ""),
        ("_target_: dlexp.models.mlp.mlp", "_target_: 3", "missing-value", "model._target_", "model=OPTION"),
        ("  accumulate: 1\n", "", "missing-value", "trainer.accumulate", ""),
        ("seed: 42", "seed: ${oc.env:DLEXP_NOPE}", "missing-value", "seed", "DLEXP_NOPE="),
    ],
)
def test_damaged_file_of_a_run_is_told(tmp_path: Path, old: str, new: str, code: str, where: str, remedy: str) -> None:
    text = to_yaml(load([], Catalog()))
    assert text.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        load_saved(written(tmp_path, text.replace(old, new)))
    refused(caught.value, code, where, remedy)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path / "config.yaml")
    refused(caught.value, "not-found", "config.yaml")
