"""Every mistake on the command line and what is said about it (H3, H4, H8)."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog, builtin_root
from dlexp.errors import ConfigError, DataError, Problem, exit_code_of


def problems_of(*words: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(words, Catalog())
    assert exit_code_of(caught.value) == 2
    return caught.value.problems


@pytest.mark.parametrize(
    ("word", "rule", "remedy"),
    [
        ("model=resnet81", "is no option of model; it has alexnet, block_cnn, ", "did you mean model=resnet18?"),
        ("optimizer=sdg", "is no option of optim; it has adadelta, adafactor, ", "did you mean optim=sgd?"),
        ("modle=mlp", "is no group and no key", "did you mean model=mlp?"),
        ("optimizer.lr=0.1", "is no key of this configuration", "did you mean optim.lr?"),
        ("optim.lrr=0.1", "is no key of this configuration", "did you mean optim.lr?"),
        ("trainer.epoch=3", "is no key of this configuration", "did you mean trainer.epochs?"),
        ("lr=0.1", "is no group and no key", "did you mean optim.lr=0.1?"),
        ("device=cpu", "is no group and no key", "did you mean trainer.device=cpu?"),
        ("resnet18", "is not key=value", "did you mean model=resnet18?"),
        ("optim.momentum=0.5", "optim=adamw has no such key; optim=lookahead, optim=muon, ", ""),
        ("scheduler.patience=3", "scheduler=cosine has no such key; scheduler=plateau has it", ""),
        ("optim.lr=[", "the bracket [ is not closed", "close it"),
        (
            "seed=1,2",
            "train runs one configuration, and this names several",
            "add -m to train each: dlexp train -m seed=1,2",
        ),
        ("model=mlp,resnet18", "train runs one configuration, and this names several", "train -m model=mlp,resnet18"),
        ("data.classes=1,2", "train runs one configuration, and this names several", "for a list write"),
        ("seed=range(1,3)", "train runs one configuration, and this names several", ""),
        ("~optim.lr", "a key cannot be removed", "optim.lr=null"),
        ("~model", "a key cannot be removed", ""),
        ("hydra.run.dir=/x", "dlexp owns the run directory and the logging", "dlexp train --help"),
        ("hydra=x", "dlexp owns the run directory and the logging", ""),
        ("model={a:1}", "a group takes the name of an option", "model.KEY=VALUE"),
        ("model@data=mlp", "a group has one place in the configuration", "write model=mlp"),
        ("regularization.early_stopping=3", "is a section, not a value", "regularization.early_stopping.KEY=VALUE"),
        ("regularization.early_stopping={patience:3}", "is a section, not a value", ""),
        ("+trainer.x=1", "is no key of this configuration", ""),
        ("++optim._target_=os.system", "is no key of this configuration", ""),
        ("model._target_=os.system", "is no key of this configuration", ""),
        ("model=../model/mlp", "is no option of model", ""),
        ("experiment=../../x", "is no option of experiment", ""),
        ("model=/etc/passwd", "is no option of model", ""),
        ("model=null", "is no option of model", ""),
        ("seed.x=1", "is no key of this configuration", "did you mean seed?"),
        ("+optim.groups.x=1", "the places of a list are numbers", "set the whole list"),
        ("+optim.groups.x.y=1", "the places of a list are numbers", "set the whole list"),
    ],
)
def test_mistake_is_told_with_rule_and_remedy(word: str, rule: str, remedy: str) -> None:
    (problem,) = problems_of(word)
    assert rule in problem.rule
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("word", "where", "rule"),
    [
        ("optim.lr=abc", "optim.lr=abc", "a number > 0"),
        ("optim.lr=-1", "optim.lr=-1", "a number > 0"),
        ("optim.lr=nan", "optim.lr=nan", "a number > 0"),
        ("optim.lr=inf", "optim.lr=inf", "a number > 0"),
        ("optim.lr={a:1}", "optim.lr={'a': 1}", "a number > 0"),
        ("optim.lr=null", "optim.lr=null", "a number > 0"),
        ("trainer.epochs=0", "trainer.epochs=0", "a whole number >= 1"),
        ("trainer.epochs=1.5", "trainer.epochs=1.5", "a whole number >= 1"),
        ("trainer.epochs=true", "trainer.epochs=true", "a whole number >= 1"),
        ("trainer.epochs={}", "trainer.epochs={}", "a whole number >= 1"),
        ("trainer.precision=fp8", "trainer.precision=fp8", "one of auto, fp32, bf16, fp16"),
        ("model.hidden=3", "model.hidden=3", "a list of whole numbers, each >= 1"),
        ("model.hidden=[64,a]", "model.hidden=[64, a]", "a list of whole numbers, each >= 1"),
        ("model.activation=relux", "model.activation=relux", "one of identity, step, sigmoid"),
        ("data.val_fraction=1", "data.val_fraction=1", "a number > 0 and < 1"),
        ("seed=-1", "seed=-1", "a whole number >= 0"),
        ("deterministic=maybe", "deterministic=maybe", "true or false"),
    ],
)
def test_value_that_breaks_its_rule_is_told_with_the_rule(word: str, where: str, rule: str) -> None:  # H5
    (problem,) = problems_of(word)
    assert f"{problem.where}={problem.given}" == where
    assert rule in problem.rule


def test_all_problems_come_at_once() -> None:
    words = ("model=resnet81", "optim.lrr=1", "trainer.epochs=0", "seed=nan", "resnet18", "~seed")
    assert {problem.where for problem in problems_of(*words)} == {
        "model", "optim.lrr", "trainer.epochs", "seed", "resnet18", "~seed",
    }  # fmt: skip


def test_remedy_is_never_hydras_own() -> None:  # H3, H4: no advice to write `+key`, no link to another manual
    text = "\n".join(str(p) for word in ("epoch=3", "optim.x=1", "a=1,2", "x=[") for p in problems_of(word))
    assert "+" not in text
    assert "hydra.cc" not in text
    assert "multirun" not in text


def test_missing_mandatory_values_are_named() -> None:
    problems = problems_of("data=csv")
    assert [(p.where, p.rule, p.remedy) for p in problems] == [
        ("data.path", "must be given", "add data.path=..."),
        ("data.target", "must be given", "add data.target=..."),
    ]


def test_unset_environment_variables_are_named() -> None:
    problems = problems_of("seed=${oc.env:DLEXP_NO_SUCH}", "name=${oc.env:DLEXP_NOR_THIS}")
    assert [p.rule for p in problems] == [
        "the environment variable DLEXP_NO_SUCH is not set",
        "the environment variable DLEXP_NOR_THIS is not set",
    ]


def test_reference_to_nothing_is_told() -> None:
    (problem,) = problems_of("seed=${nowhere}")
    assert (problem.where, problem.rule) == ("seed", "Interpolation key 'nowhere' not found")


def test_references_in_a_circle_are_told() -> None:
    problems = problems_of("seed=${trainer.epochs}", "trainer.epochs=${seed}")
    assert {(p.where, p.rule) for p in problems} == {
        ("seed", "refers back to itself"),
        ("trainer.epochs", "refers back to itself"),
    }


def test_references_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_RUN", "night")
    config = load(["seed=${trainer.epochs}", "trainer.epochs=7", "name=${oc.env:DLEXP_RUN}"], Catalog())
    assert (config.seed, config.name) == (7, "night")


def test_optimizer_is_another_word_for_optim() -> None:
    config = load(["optimizer=sgd", "optim.momentum=0.5"], Catalog())
    assert config.choices["optim"] == "sgd"
    assert config.optim.arguments["momentum"] == 0.5


def test_later_words_decide() -> None:
    config = load(["model=mlp", "model=resnet18", "seed=1", "seed=2"], Catalog())
    assert (config.model.option, config.seed) == ("resnet18", 2)


def test_item_of_a_list_can_be_set() -> None:
    assert load(["model.hidden.0=64"], Catalog()).model.arguments["hidden"] == [64, 256]


def test_data_choose_their_task_and_loss() -> None:
    config = load(["data=diabetes"], Catalog())
    assert (config.choices["task"], config.choices["loss"]) == ("regression", "mse")
    assert (config.monitor, config.maximize) == ("val/loss", False)


def test_monitor_knows_its_direction() -> None:
    assert load(["trainer.monitor=val/accuracy"], Catalog()).maximize


def test_composing_leaves_no_global_state() -> None:  # H7
    before = GlobalHydra.instance().is_initialized()
    load(["model=resnet18"], Catalog())
    assert not before
    assert GlobalHydra.instance().is_initialized() is before


def test_composing_works_inside_a_program_that_uses_hydra() -> None:  # H7
    with initialize_config_dir(str(builtin_root()), version_base="1.3"):
        config = load(["model=resnet18"], Catalog())
        assert GlobalHydra.instance().is_initialized()
        assert hydra_compose("config", ["model=simple_cnn"]).model.fc == 512
    assert config.model.option == "resnet18"
    assert not GlobalHydra.instance().is_initialized()


def test_eight_threads_compose_at_once() -> None:  # H7
    def seed_of(number: int) -> tuple[int, str]:
        config = load([f"seed={number}", f"model={'mlp' if number % 2 else 'resnet18'}"], Catalog())
        return config.seed, config.model.option

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(seed_of, range(16)))
    assert found == [(number, "mlp" if number % 2 else "resnet18") for number in range(16)]


_COLD_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from dlexp.config.files.catalog import Catalog
from dlexp.config.compose import load
with ThreadPoolExecutor(8) as pool:
    print([config.seed for config in pool.map(lambda n: load([f"seed={n}"], Catalog()), range(8))])
"""


def test_eight_threads_compose_in_a_fresh_process() -> None:  # H7: also where Hydra's plugins are not yet found
    done = subprocess.run([sys.executable, "-c", _COLD_THREADS], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (str(list(range(8))), "")


_NO_TORCH = """
import sys
from dlexp.config.files.catalog import Catalog
from dlexp.config.compose import load
from dlexp.errors import ConfigError
load([], Catalog())
try:
    load(["model=resnet81", "optim.lr=-1"], Catalog())
except ConfigError as error:
    print(len(error.problems), "torch" in sys.modules, "pandas" in sys.modules)
"""


def test_nothing_of_this_needs_torch() -> None:  # H2
    done = subprocess.run([sys.executable, "-c", _NO_TORCH], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False", "False"]


def test_target_kind_of_a_table_chooses_the_task() -> None:
    Path("t.csv").write_text("a,price,kind\n" + "\n".join(f"{n},{n * 1.5},{'xy'[n % 2]}" for n in range(30)))
    prices = load(["data=csv", "data.path=t.csv", "data.target=price"], Catalog())
    kinds = load(["data=csv", "data.path=t.csv", "data.target=kind"], Catalog())
    asked = load(["data=csv", "data.path=t.csv", "data.target=a", "data.target_kind=value"], Catalog())
    given = load(["data=csv", "data.path=t.csv", "data.target=a", "task=regression"], Catalog())
    assert [c.choices["task"] for c in (prices, kinds, asked, given)] == [
        "regression", "classification", "regression", "regression",
    ]  # fmt: skip
    assert [c.data.arguments["target_kind"] for c in (prices, kinds, asked, given)] == [
        "value", "class", "value", "value",
    ]  # fmt: skip
    assert prices.data.arguments["path"] == str(Path("t.csv").resolve())


def test_table_is_not_looked_at_before_its_words_are_checked() -> None:
    (problem,) = problems_of("data=csv", "data.path=[5]", "data.target=a")
    assert (problem.where, problem.rule) == ("data.path", "must be a path")


def test_table_that_is_not_there_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"none\.csv: there is no such file"):
        load(["data=csv", "data.path=none.csv", "data.target=a"], Catalog())
