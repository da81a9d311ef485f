"""Remedies can be pasted: each suggestion replaces the mistake and is accepted, or is a command that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.config.compose import load, load_unfitted
from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import trusted_names
from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import misspelled_name, shortened


def problems_of(*words: str, catalog: Catalog | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(words, catalog or Catalog())
    return caught.value.problems


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with my_conf/model/my_net.yaml, whose network is in a package of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLEXP_TRUST", raising=False)
    file = tmp_path / "my_conf" / "model" / "my_net.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: my_package.nets.net\n_inputs_: tabular\nwidth: 4\n")
    return Path("my_conf")


@pytest.mark.parametrize(
    ("word", "pasted"),
    [
        ("model=resnet81", "model=resnet18"),
        ("optim=adm", "optim=adam"),
        ("optim.lrr=0.1", "optim.lr=0.1"),
        ("learning_rate=0.1", "optim.lr=0.1"),
        ("optim.learning_rate=0.1", "optim.lr=0.1"),
        ("num_epochs=3", "trainer.epochs=3"),
        ("dataset=iris", "data=iris"),
        ("wd=0.1", "optim.weight_decay=0.1"),
        ("random_state=7", "seed=7"),
        ("trainer.monitor=val/acc", "trainer.monitor=val/accuracy"),
    ],
)
def test_a_suggestion_replaces_the_word(word: str, pasted: str) -> None:
    (problem,) = problems_of(word)
    assert re.match(r"Did you mean (\S+)\?", problem.remedy)[1] == pasted  # type: ignore[index]
    load([pasted], Catalog())


@pytest.mark.parametrize("group", ["model", "data", "optim", "loss"])
def test_an_unknown_option_names_the_command_that_lists_all(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    (problem,) = problems_of(f"{group}=zzz")
    assert (problem.code, problem.where) == ("unknown-option", group)
    assert f"--config-dir DIR, where DIR has {group}/zzz.yaml" in problem.remedy
    line = problem.remedy.rpartition("dlexp ")[2]
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert not stopped.value.code and next(iter(Catalog().options(group))) in capsys.readouterr().out
    assert len(problem.rule) < 150


def test_the_list_of_a_directory_of_the_users_own_names_it(own_model: Path) -> None:
    (problem,) = problems_of("model=my_nett", catalog=Catalog((own_model,)))
    assert problem.remedy.startswith("Did you mean model=my_net?")
    assert problem.remedy.endswith("dlexp list model --config-dir my_conf")


def test_an_own_option_is_found_in_the_directory_that_has_it(own_model: Path) -> None:
    (problem,) = problems_of("model=my_net")
    assert (problem.code, problem.remedy) == ("unknown-option", f"Add --config-dir {own_model}")


@pytest.mark.parametrize("name", ["my_mlp", "own", "tiny_resnet"])
def test_a_name_of_ones_own_is_not_taken_for_a_misspelling(name: str) -> None:
    (problem,) = problems_of(f"model={name}")
    assert "Did you mean" not in problem.remedy and "--config-dir" in problem.remedy


def test_a_key_that_the_option_lacks_lists_what_it_has(own_model: Path) -> None:
    (problem,) = problems_of("model.widht=4")
    assert (problem.code, problem.where) == ("unknown-key", "model.widht")
    assert "hidden" in problem.rule and "dlexp config model=mlp --sources" in problem.remedy
    (problem,) = problems_of("model.widht=4", catalog=Catalog((own_model,)))
    assert "model.width=4, with model=my_net?" in problem.remedy
    (problem,) = problems_of("model=my_net", "data=iris", "model.widht=4", catalog=Catalog((own_model,)))
    assert problem.remedy == "Did you mean model.width=4?"


@pytest.mark.parametrize(
    ("variable", "option", "remedy"),
    [
        ("", (), "add --trust my_package"),
        ("my_pakcage", (), "DLEXP_TRUST=my_package"),
        ("other, my_pakcage", (), "DLEXP_TRUST=other,my_package"),
        ("", ("my-package",), "--trust my_package"),
        ("other", (), "add --trust my_package"),
    ],
)
def test_all_mistakes_of_a_line_come_at_once_and_trust_is_one(
    own_model: Path, monkeypatch: pytest.MonkeyPatch, variable: str, option: tuple[str, ...], remedy: str
) -> None:
    monkeypatch.setenv("DLEXP_TRUST", variable)
    catalog = Catalog((own_model,), trusted_names(option))
    found = problems_of("model=my_net", "trainer.epochs=-1", "optim.lrr=4", "data=iris", catalog=catalog)
    assert {(problem.where, problem.code) for problem in found} == {
        ("optim.lrr", "unknown-key"),
        ("trainer.epochs", "out-of-range"),
        ("model=my_net", "untrusted"),
    }
    trust = next(problem for problem in found if problem.code == "untrusted")
    assert remedy in trust.remedy
    assert all(name.strip() in trust.rule for name in (*variable.split(","), *option))


def test_trust_is_reported_beside_what_does_not_fit_together(own_model: Path) -> None:
    catalog = Catalog((own_model,), ())
    assert {problem.code for problem in problems_of("model=my_net", catalog=catalog)} == {
        "untrusted",
        "incompatible-data",
    }


def test_spaces_in_the_variable_do_not_count(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_TRUST", " a , my_package ,")
    assert trusted_names(()) == ("a", "my_package")


@pytest.mark.parametrize("words", [("--trust", "my_pakcage"), ()])
def test_an_untrusted_component_alone_is_refused_when_it_is_built(
    own_model: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    line = ("train", "--dry-run", "--config-dir", str(own_model), "model=my_net", "data=iris", *words)
    line_refused(capsys, *line, code="untrusted", where="model=my_net", remedy="--trust my_package")


@pytest.mark.parametrize(
    ("given", "remedy"), [("my_cnof", "--config-dir my_conf"), ("zzz", "--config-dir my_conf"), ("a/b", "mkdir -p")]
)
def test_a_missing_config_dir_names_the_nearest(own_model: Path, given: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Catalog((Path(given),))
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("not-found", "--config-dir") and remedy in problem.remedy


def test_a_missing_config_dir_of_the_variable_is_named_as_such(
    own_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLEXP_CONFIG_DIR", "my_cnof")
    with pytest.raises(ConfigError) as caught:
        Catalog((Path("my_cnof"),))
    (problem,) = caught.value.problems
    assert (problem.where, problem.remedy) == ("DLEXP_CONFIG_DIR", "Did you mean DLEXP_CONFIG_DIR=my_conf?")


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (("model=my_net",), "model.width", "4"),  # the digits are images
        (("data=csv",), "data.path", "???"),  # which is required to train
        (("data=csv", "model=resnet18"), "optim.lr", "0.002"),
        (("model=resnet18", "regularization.dropout=0.3"), "regularization.dropout", "0.3"),
    ],
)
def test_a_key_is_explained_without_data_that_fit(
    own_model: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], key: str, value: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["config", "--config-dir", str(own_model), "--explain", key, *words])
    assert not stopped.value.code
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(f"{line} ".startswith(f"value {value} ") for line in lines)


def test_a_wrong_value_is_still_refused_when_a_key_is_explained() -> None:
    with pytest.raises(ConfigError) as caught:
        load_unfitted(["trainer.epochs=0", "optim.lrr=1"], Catalog())
    assert {problem.code for problem in caught.value.problems} == {"out-of-range", "unknown-key"}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("mpl", "mlp"),
        ("resnet", "resnet18"),
        ("latset", "latest"),
        ("my_mlp", None),
        ("zz", None),
        ("RESNET18", "resnet18"),
    ],
)
def test_misspelled_name(word: str, found: str | None) -> None:
    assert misspelled_name(word, ["mlp", "resnet18", "resnet152", "latest"]) == found


def test_long_lists_are_shortened() -> None:
    assert shortened([str(n) for n in range(8)]) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert shortened([str(n) for n in range(9)]) == "0, 1, 2, 3, 4, 5, ... (9)"
