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
    ("word", "code", "remedy"),
    [
        ("model=resnet81", "unknown-option", "model=resnet18"),
        ("optim=sdg", "unknown-option", "optim=sgd"),
        ("optimizer=sgd", "unknown-key", "optim=sgd"),
        ("modle=mlp", "unknown-key", "model=mlp"),
        ("optimizer.lr=0.1", "unknown-key", "optim.lr"),
        ("optim.lrr=0.1", "unknown-key", "optim.lr"),
        ("trainer.epoch=3", "unknown-key", "trainer.epochs"),
        ("lr=0.1", "unknown-key", "optim.lr=0.1"),
        ("device=cpu", "unknown-key", "trainer.device=cpu"),
        ("resnet18", "invalid-syntax", "model=resnet18"),
        ("optim.momentum=0.5", "unknown-key", ""),
        ("scheduler.patience=3", "unknown-key", ""),
        ("optim.lr=[", "invalid-syntax", "KEY=[...]"),
        ("seed=1,2", "missing-requirement", "dlexp train -m seed=1,2"),
        ("model=mlp,resnet18", "missing-requirement", "train -m model=mlp,resnet18"),
        ("data.classes=1,2", "missing-requirement", "data.classes=[1,2]"),
        ("seed=range(1,3)", "missing-requirement", ""),
        ("~optim.lr", "not-supported", "optim.lr=null"),
        ("~model", "not-supported", ""),
        ("hydra.run.dir=/x", "not-supported", "--run-dir /x"),
        ("hydra=x", "not-supported", ""),
        ("model={a:1}", "invalid-type", "model.KEY=VALUE"),
        ("model@data=mlp", "not-supported", "model=mlp"),
        ("regularization.early_stopping=3", "invalid-type", "regularization.early_stopping.KEY=VALUE"),
        ("regularization.early_stopping={patience:3}", "invalid-type", ""),
        ("+trainer.x=1", "unknown-key", ""),
        ("++optim._target_=os.system", "unknown-key", ""),
        ("model._target_=os.system", "unknown-key", ""),
        ("model=../model/mlp", "unknown-option", ""),
        ("experiment=../../x", "unknown-option", ""),
        ("model=/etc/passwd", "unknown-option", ""),
        ("model=null", "unknown-option", ""),
        ("seed.x=1", "unknown-key", "seed"),
        ("+optim.groups.x=1", "invalid-value", "KEY=[...]"),
        ("+optim.groups.x.y=1", "invalid-value", "KEY=[...]"),
    ],
)
def test_mistake_is_told_with_code_and_remedy(word: str, code: str, remedy: str) -> None:
    (problem,) = problems_of(word)
    assert problem.code == code
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("model=zzz", ("alexnet", "block_cnn")),
        ("optim=zzz", ("adadelta", "adafactor")),
        ("optim.momentum=0.5", ("optim=lookahead", "optim=muon")),
        ("scheduler.patience=3", ("scheduler=cosine", "scheduler=plateau")),
    ],
)
def test_what_is_there_is_named(word: str, names: tuple[str, ...]) -> None:
    (problem,) = problems_of(word)
    assert [name for name in names if name not in problem.rule] == []


@pytest.mark.parametrize(
    ("word", "where", "code", "rule"),
    [
        ("optim.lr=abc", "optim.lr=abc", "invalid-type", "a number > 0"),
        ("optim.lr=-1", "optim.lr=-1", "out-of-range", "a number > 0"),
        ("optim.lr=nan", "optim.lr=nan", "out-of-range", "a number > 0"),
        ("optim.lr=inf", "optim.lr=inf", "out-of-range", "a number > 0"),
        ("optim.lr={a:1}", "optim.lr={'a': 1}", "invalid-type", "a number > 0"),
        ("optim.lr=null", "optim.lr=null", "invalid-type", "a number > 0"),
        ("trainer.epochs=0", "trainer.epochs=0", "out-of-range", "a whole number >= 1"),
        ("trainer.epochs=1.5", "trainer.epochs=1.5", "invalid-type", "a whole number >= 1"),
        ("trainer.epochs=true", "trainer.epochs=true", "invalid-type", "a whole number >= 1"),
        ("trainer.epochs={}", "trainer.epochs={}", "invalid-type", "a whole number >= 1"),
        ("trainer.precision=fp8", "trainer.precision=fp8", "unknown-value", "one of auto, fp32, bf16, fp16"),
        ("model.hidden=3", "model.hidden=3", "invalid-type", "a list of whole numbers, each >= 1"),
        ("model.hidden=[64,a]", "model.hidden=[64, a]", "invalid-type", "a list of whole numbers, each >= 1"),
        ("model.hidden=[64,0]", "model.hidden=[64, 0]", "out-of-range", "a list of whole numbers, each >= 1"),
        ("model.activation=relux", "model.activation=relux", "unknown-value", "one of identity, step, sigmoid"),
        ("data.val_fraction=1", "data.val_fraction=1", "out-of-range", "a number > 0 and < 1"),
        ("seed=-1", "seed=-1", "out-of-range", "a whole number >= 0"),
        ("deterministic=maybe", "deterministic=maybe", "invalid-type", "true or false"),
    ],
)
def test_value_that_breaks_its_rule_is_told_with_the_rule(word: str, where: str, code: str, rule: str) -> None:  # H5
    (problem,) = problems_of(word)
    assert (f"{problem.where}={problem.given}", problem.code) == (where, code)
    assert rule in problem.rule  # the rule is that of the key, in the words of Field.rule


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
    assert [(p.where, p.code) for p in problems] == [("data.path", "missing-value"), ("data.target", "missing-value")]
    assert "data.path=" in problems[0].remedy and "data.target=" in problems[1].remedy


def test_unset_environment_variables_are_named() -> None:
    problems = problems_of("seed=${oc.env:DLEXP_NO_SUCH}", "name=${oc.env:DLEXP_NOR_THIS}")
    assert [(p.where, p.code) for p in problems] == [("seed", "missing-value"), ("name", "missing-value")]
    assert "DLEXP_NO_SUCH=" in problems[0].remedy and "DLEXP_NOR_THIS=" in problems[1].remedy


def test_reference_to_nothing_is_told() -> None:
    (problem,) = problems_of("seed=${nowhere}")
    assert (problem.where, problem.code) == ("seed", "invalid-value")
    assert "nowhere" in problem.rule


def test_references_in_a_circle_are_told() -> None:
    problems = problems_of("seed=${trainer.epochs}", "trainer.epochs=${seed}")
    assert {(p.where, p.code) for p in problems} == {("seed", "invalid-value"), ("trainer.epochs", "invalid-value")}


def test_references_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLEXP_RUN", "night")
    config = load(["seed=${trainer.epochs}", "trainer.epochs=7", "name=${oc.env:DLEXP_RUN}"], Catalog())
    assert (config.seed, config.name) == (7, "night")


def test_optimizer_is_another_word_for_optim() -> None:
    config = load(["optim=sgd", "optim.momentum=0.5"], Catalog())
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
    assert (problem.where, problem.code) == ("data.path", "invalid-type")


def test_table_that_is_not_there_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"none\.csv") as caught:
        load(["data=csv", "data.path=none.csv", "data.target=a"], Catalog())
    assert Path(str(caught.value.file)).name == "none.csv"
