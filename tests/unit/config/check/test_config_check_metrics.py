"""The items of `metrics=[...]`: what each stands for, and the line that mends each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from refusals import load_refused

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved, to_yaml
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError
from dlexp.metrics.selection.catalog import CATALOG

TRUSTING = Catalog(trusted=("my_package",))
PROFIT = "my_package.metrics.profit"


def names(config: RunConfig) -> list[tuple[str, str, str]]:
    return [(found.name, found.direction, found.target) for found in config.metrics]


@pytest.mark.parametrize(
    "word, name, direction, tree",
    [
        ("metrics=[f1_macro]", "f1_macro", "max", "f1_macro"),
        ("metrics=f1_micro", "f1_micro", "max", "f1_micro"),
        ("metrics=[recall[3]]", "recall[3]", "max", "recall[3]"),
        ('metrics=["recall[3]"]', "recall[3]", "max", "recall[3]"),
        ("metrics=[recall[not spam]]", "recall[not spam]", "max", "recall[not spam]"),
        ("metrics=[top_7_accuracy]", "top_7_accuracy", "max", "top_7_accuracy"),
        ("metrics=[{fbeta:{beta:2}}]", "fbeta", "max", {"fbeta": {"beta": 2}}),
        ("metrics=[{fbeta:{beta:2,class:3}}]", "fbeta[3]", "max", {"fbeta[3]": {"beta": 2}}),
        ("metrics=[{fbeta:{beta:2,name:f2}}]", "f2", "max", {"fbeta": {"name": "f2", "beta": 2}}),
        (
            "metrics=[{cost:{matrix:[[0,1],[5,0]]}}]",
            "cost",
            "min",
            {"cost": {"matrix": [[0, 1], [5, 0]]}},
        ),
        ("data=diabetes metrics=[{quantile_loss:{q:0.9}}]", "quantile_loss", "min", {"quantile_loss": {"q": 0.9}}),
        (f"metrics=[{PROFIT}]", "profit", "", {"profit": {"_target_": PROFIT}}),
        (
            f"metrics=[{{{PROFIT}:{{mode:min,gain:3,name:loss_of_money}}}}]",
            "loss_of_money",
            "min",
            {"loss_of_money": {"_target_": PROFIT, "mode": "min", "gain": 3}},
        ),
    ],
)
def test_an_item_is_completed_and_its_saved_form_means_the_same(
    word: str, name: str, direction: str, tree: Any, tmp_path: Path
) -> None:
    words = word.split(" ", 1) if word.startswith("data=") else [word]
    config = load(words, TRUSTING)
    assert [(found.name, found.direction) for found in config.metrics] == [(name, direction)]
    assert config.tree["metrics"] == [tree]
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    again = load_saved(tmp_path / "config.yaml")
    assert again.metrics == config.metrics
    assert again.tree["metrics"] == config.tree["metrics"]


@pytest.mark.parametrize(
    "words, code, where, remedy",
    [
        (["metrics=[fbetta]"], "unknown-value", "metrics", "Did you mean fbeta?"),
        (["metrics=[recall_yes]"], "unknown-value", "metrics", "Did you mean recall[yes]?"),
        (["metrics=[zzz]"], "unknown-value", "metrics", "dlexp list metrics"),
        (["metrics=[recall]"], "missing-value", "metrics", "recall_macro"),
        (["metrics=[accuracy[3]]"], "invalid-value", "metrics", "recall"),
        (["metrics=[cost]"], "missing-value", "metrics", "'metrics=[{cost:{matrix:[[0,1],[5,0]]}}]'"),
        (["metrics=[{cost:{matrix:[[0,1],[5]]}}]"], "invalid-value", "metrics", ""),
        (["metrics=[{fbeta:{beta:0}}]"], "invalid-value", "metrics", ""),
        (["metrics=[{fbeta:{bta:2}}]"], "unknown-key", "metrics", "Did you mean beta?"),
        (["metrics=[{fbeta:{beta:2}},{fbeta:{beta:3}}]"], "invalid-value", "metrics", "name: f2"),
        (["metrics=[mae]"], "incompatible-data", "metrics", "dlexp list metrics"),
        (["metrics=[3]"], "unknown-value", "metrics", ""),
        (["metrics=[[a]]"], "invalid-type", "metrics", ""),
        (["metrics=[a.b.c]", "optim.lr=-1"], "untrusted", "metrics", "--trust a"),
        ([f"metrics=[{{{PROFIT}:{{mode:best}}}}]"], "unknown-value", "metrics", ""),
        (
            ["metrics=[my_package.metrics.accuracy]"],
            "already-exists",
            "metrics",
            "my_accuracy",
        ),
        (
            [f"metrics=[{PROFIT}]", "trainer.monitor=val/profit"],
            "missing-value",
            "trainer.monitor",
            f"'metrics=[{{{PROFIT}:{{mode:max}}}}]'",
        ),
        (["trainer.monitor=val/cost"], "missing-value", "trainer.monitor", "matrix"),
        (["trainer.monitor=val/recall"], "unknown-value", "trainer.monitor", "val/recall_macro"),
        (["metrics=[roc_auc]", "trainer.monitor=val/roc_auk"], "unknown-value", "trainer.monitor", "val/roc_auc"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_item_is_refused_with_the_line_to_type(words: list[str], code: str, where: str, remedy: str) -> None:
    load_refused(words, TRUSTING, code, where, remedy)


def test_all_problems_of_all_items_come_at_once() -> None:
    from dlexp.errors import ConfigError

    with pytest.raises(ConfigError) as caught:
        load(["metrics=[fbetta,recall,{fbeta:{beta:0}}]", "trainer.monitor=val/acuracy"], TRUSTING)
    assert len(caught.value.problems) == 4


def test_a_monitored_metric_of_one_class_needs_no_other_word() -> None:
    config = load(["trainer.monitor=val/recall[3]"], TRUSTING)
    assert names(config) == [("recall[3]", "max", "")]
    assert config.maximize and config.metrics[0].where == "trainer.monitor"
    assert config.tree["metrics"] == []
    config = load(["metrics=[{cost:{matrix:[[0,1],[5,0]]}}]", "trainer.monitor=val/cost"], TRUSTING)
    assert not config.maximize and len(config.metrics) == 1


def test_an_option_file_names_a_function_and_the_line_changes_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "profit.yaml").write_text(f"# Money\n_target_: {PROFIT}\nmode: max\ngain: 2\n")
    catalog = Catalog((tmp_path,), ("my_package",))
    config = load(["metrics=[profit]", "trainer.monitor=val/profit"], catalog)
    assert config.tree["metrics"] == [{"profit": {"_target_": PROFIT, "mode": "max", "gain": 2}}]
    config = load(["metrics=[{profit:{gain:5,mode:min}}]"], catalog)
    assert config.tree["metrics"] == [{"profit": {"_target_": PROFIT, "mode": "min", "gain": 5}}]
    (tmp_path / "metrics" / "profit.yaml").write_text("# Money\nmode: max\n")
    load_refused(["metrics=[profit]"], Catalog((tmp_path,), ()), "missing-value", "metrics", "_target_")


def test_every_built_in_metric_that_needs_nothing_is_accepted_by_its_name() -> None:
    for outputs, words in (("scores", []), ("values", ["data=diabetes"])):
        plain = [
            entry.name.replace("top_K", "top_4")
            for entry in CATALOG[outputs].values()
            if entry.of_one != "only" and not any("default" not in rule for rule in entry.parameters.values())
        ]
        config = load([*words, f"metrics=[{','.join(plain)}]"], TRUSTING)
        assert [found.name for found in config.metrics] == plain


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("val_auroc", "val/roc_auc"), ("eval_mcc", "val/matthews_correlation"), ("val_f1_score", "val/f1_macro")],
)
def test_a_metric_of_another_tool_is_not_answered_by_spelling(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([f"trainer.monitor={typed}"], Catalog())
    assert [problem.instead for problem in caught.value.problems] == [(f"trainer.monitor={meant}",)]
    with pytest.raises(ConfigError) as caught:
        load([f"metrics=[{typed.partition('_')[2]}]"], Catalog())
    assert f"Did you mean {meant.removeprefix('val/')}?" in caught.value.problems[0].remedy
