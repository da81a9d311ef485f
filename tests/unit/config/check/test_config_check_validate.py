"""Whether the chosen parts fit each other (H5), and what the checked configuration holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from outside_package import own_catalog
from refusals import load_refused, refused

from dlexp.config.check.validate import rules
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

CHOICES = {
    "model": "mlp",
    "optim": "sgd",
    "scheduler": "cosine",
    "data": "iris",
    "task": "classification",
    "loss": "mse",
}


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        ("model=resnet18 data=iris", "incompatible-data", "model", "model=mlp"),
        ("model=simple_cnn data=diabetes", "incompatible-data", "model", "data=digits"),
        ("loss=mse", "incompatible-data", "loss", "Use loss=cross_entropy, or other data, such as data=diabetes"),
        (
            "loss=cross_entropy data=diabetes",
            "incompatible-data",
            "loss",
            "Use loss=mse, or other data, such as data=breast_cancer",
        ),
        ("task=regression", "incompatible-data", "task", "task=classification loss=cross_entropy"),
        ("loss=triplet", "cannot-combine", "loss", "loss=cross_entropy"),
        (
            "model=resnet18 regularization.dropout=0.1",
            "not-supported",
            "regularization.dropout",
            "regularization.dropout=null",
        ),
        (
            "data=diabetes regularization.label_smoothing=0.1",
            "not-supported",
            "regularization.label_smoothing",
            "regularization.label_smoothing=null",
        ),
        ("trainer.monitor=val/accurcy", "unknown-value", "trainer.monitor", "trainer.monitor=val/accuracy"),
        ("data=diabetes trainer.monitor=val/accuracy", "unknown-value", "trainer.monitor", ""),
        ("task.monitor=val/f1", "unknown-value", "task.monitor", "task.monitor=val/f1_macro"),
        (
            "data.val_fraction=0.6 data.test_fraction=0.5",
            "out-of-range",
            "data.val_fraction + data.test_fraction",
            "",
        ),
        (
            "scheduler.warmup_steps=3 scheduler.warmup_epochs=1",
            "cannot-combine",
            "scheduler.warmup_steps",
            "scheduler.warmup_epochs=0",
        ),
        ("optim.betas=[0.9]", "invalid-value", "optim.betas", ""),
    ],
)
def test_parts_that_do_not_fit_are_told_with_the_reason(words: str, code: str, where: str, remedy: str) -> None:
    load_refused(words.split(), Catalog(), code, where, remedy)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("model=resnet18 data=iris", "data=iris"),
        ("loss=mse", "data=digits"),
        ("model=resnet18 regularization.dropout=0.1", "model=resnet18"),
        ("data=diabetes regularization.label_smoothing=0.1", "loss=mse"),
        ("data=diabetes trainer.monitor=val/accuracy", "val/loss, val/mae, val/rmse, val/r2"),
        ("data.val_fraction=0.6 data.test_fraction=0.5", "=1.1"),
    ],
)
def test_the_other_part_is_named(words: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(words.split(), Catalog())
    assert named in str(caught.value)


def test_misfits_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(["data=iris", "model=resnet18", "loss=mse", "trainer.monitor=val/r2"], Catalog())
    assert [problem.where for problem in caught.value.problems] == ["model", "loss", "trainer.monitor"]


def test_shared_dropout_and_smoothing_reach_their_components() -> None:
    config = load(["regularization.dropout=0.35", "regularization.label_smoothing=0.05"], Catalog())
    assert config.model.arguments["dropout"] == 0.35
    assert config.loss.arguments["label_smoothing"] == 0.05
    assert config.tree["model"]["dropout"] == 0.35


def test_unset_shared_dropout_leaves_the_models_own() -> None:
    assert load(["model.dropout=0.11"], Catalog()).model.arguments["dropout"] == 0.11


def test_own_keys_of_dlexp_are_no_arguments() -> None:
    config = load(["data.batch_size=7", "optim.decay_norms_and_biases=true"], Catalog())
    assert (config.batch_size, config.eval_batch_size, config.decay_norms_and_biases) == (7, 256, True)
    assert not {"batch_size", "eval_batch_size"} & config.data.arguments.keys()
    assert "decay_norms_and_biases" not in config.optim.arguments
    assert not [key for node in (config.data, config.task) for key in node.arguments if key.startswith("_")]


def test_trainer_monitor_goes_before_the_tasks_own() -> None:
    assert load(["task.monitor=val/accuracy"], Catalog()).monitor == "val/accuracy"
    assert load(["task.monitor=val/accuracy", "trainer.monitor=train/loss"], Catalog()).monitor == "train/loss"


def test_paths_become_absolute(tmp_path: Path) -> None:
    assert load(["init_from=runs/a"], Catalog()).init_from == str(tmp_path / "runs/a")
    assert load(['init_from="~/a"'], Catalog()).init_from == str(Path.home() / "a")
    assert load([], Catalog()).init_from is None


@pytest.mark.parametrize(
    ("path", "text", "code", "where", "remedy"),
    [
        ("model/x.yaml", "width: 3\n", "missing-value", "model._target_", "model/x.yaml"),
        ("model/x.yaml", "", "missing-value", "model._target_", "model/x.yaml"),
        ("data/x.yaml", "_target_: p.f\n", "missing-value", "data.batch_size", "data/x.yaml"),
        (
            "data/x.yaml",
            "defaults: [_base, _self_]\n_target_: p.f\n_inputs_: a sound\n",
            "unknown-value",
            "data._inputs_",
            "",
        ),
        (
            "data/x.yaml",
            "defaults: [_base, _self_]\n_target_: p.f\n_targets_: a text\n",
            "unknown-value",
            "data._targets_",
            "",
        ),
        ("loss/x.yaml", "_target_: p.f\n_outputs_: song\n", "unknown-value", "loss._outputs_", ""),
        (
            "task/x.yaml",
            "_target_: p.f\nmonitor: val/loss\n_metrics_: [loss]\n",
            "invalid-value",
            "task._metrics_",
            "",
        ),
        (
            "task/x.yaml",
            "_target_: p.f\nmonitor: val/loss\n_metrics_: {loss: down}\n",
            "invalid-value",
            "task._metrics_",
            "",
        ),
        ("task/x.yaml", "_target_: p.f\n", "missing-value", "task.monitor", ""),
    ],
)
def test_own_component_file_that_is_incomplete_is_told(
    tmp_path: Path, path: str, text: str, code: str, where: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load([f"{path.partition('/')[0]}=x"], own_catalog(tmp_path, {path: text}))
    refused(caught.value, code, where, remedy)


UNDESCRIBED = """_target_: p.f
width: 3
rate: 1e-3
bias: yes
kind: a
code: "5"
day: 2020-01-01
sizes: [1, 2]
same: ${seed}
any: null
"""


def test_key_that_no_one_described_keeps_the_type_of_its_default(tmp_path: Path) -> None:
    catalog = own_catalog(tmp_path, {"model/x.yaml": UNDESCRIBED})
    found = rules(CHOICES | {"model": "x"}, catalog)
    types = {
        path: field.type for path, field in found.items() if path.removeprefix("model.") in catalog.keys("model", "x")
    }
    assert types == {
        "model.width": "int",
        "model.rate": "float",
        "model.bias": "bool",
        "model.kind": "str",
        "model.code": "str",
        "model.day": "str",
    }
    arguments = load(["model=x"], catalog).model.arguments
    assert (arguments["bias"], arguments["code"], arguments["sizes"], arguments["same"]) == (True, "5", [1, 2], 42)
    load_refused(["model=x", "model.width=abc"], catalog, "invalid-type", "model.width")


def test_rules_cover_every_key_of_a_composed_configuration() -> None:
    known = rules(CHOICES, Catalog())
    assert {"optim.momentum", "optim.lr", "data.batch_size", "seed", "trainer.epochs", "scheduler.warmup_steps"} <= set(
        known
    )
    assert known["optim.lr"].rule == "a number > 0, or auto"
