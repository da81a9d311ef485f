"""optim.phases and scheduler.phases: other values for one phase, checked like those of all phases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Optimizer

from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.derive import repeat, resumed_config
from dlexp.config.explain import explain
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved, to_yaml
from dlexp.errors import ConfigError, Problem
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, resume, train

PACKAGE = """
from dataclasses import replace

from torch import nn

from dlexp.tasks.base import Phase
from dlexp.tasks.classification import Classification


def nets(*, in_features, num_outputs):
    return {name: nn.Linear(in_features, num_outputs) for name in ("critic", "maker")}


class Pair(Classification):
    phases = {"critic": Phase(("critic",)), "maker": Phase(("maker",))}

    def loss(self, phase, networks, batch):
        return super().loss(phase, {"model": networks[phase]}, batch)

    def predict(self, networks, batch):
        return super().predict({"model": networks["maker"]}, batch)
"""
TASK = """# Two classifiers
defaults:
  - _self_
  - override /loss@_global_.loss: cross_entropy
_target_: pair_package.Pair
_targets_: class
_outputs_: scores
_phases_: [critic, maker]
monitor: val/loss
_metrics_: {loss: min, accuracy: max, balanced_accuracy: max, f1_macro: max}
"""
TRUSTED = ("pair_package",)
WORDS = (
    *("data=iris", "model=pair", "task=pair", "optim=sgd", "trainer.epochs=2", "trainer.device=cpu"),
    *("optim.phases.critic.lr=0.5", "optim.phases.critic.momentum=0", "scheduler.phases.maker.min_factor=0.5"),
)


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pair_package.py").write_text(PACKAGE)
    for group, text in (("model", "# Two\n_target_: pair_package.nets\n"), ("task", TASK)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "pair.yaml").write_text(text)
    return Catalog((tmp_path / "conf",))


def problems(words: tuple[str, ...], catalog: Catalog) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(words, catalog)
    return list(caught.value.problems)


def group_of(optimizer: Optimizer) -> dict[str, Any]:
    return dict(optimizer.param_groups[0])


def test_a_phase_has_its_own_values_and_shares_the_others(catalog: Catalog) -> None:
    config = load([*WORDS, "optim.phases.maker.decay_norms_and_biases=true", "optim.weight_decay=0.25"], catalog)
    state = prepare_training(assemble(config, TRUSTED)).state
    critic, maker = (group_of(state.optimizers[phase]) for phase in ("critic", "maker"))
    assert (critic["lr"], critic["momentum"], critic["weight_decay"]) == (0.5, 0, 0.25)
    assert (maker["momentum"], maker["weight_decay"]) == (0.9, 0.25)
    assert maker["lr"] == config.optim.arguments["lr"]
    decays = {phase: [g["weight_decay"] for g in o.param_groups] for phase, o in state.optimizers.items()}
    assert decays == {"critic": [0.25, 0.0], "maker": [0.25]}
    for _ in range(1000):
        for schedule in state.schedules.values():
            schedule.step()
    assert [group_of(o)["lr"] for o in state.optimizers.values()] == pytest.approx([0.0, maker["initial_lr"] / 2])


@pytest.mark.parametrize(
    ("word", "where", "code", "remedy"),
    [
        ("optim.phases.critik.lr=1", "optim.phases.critik", "unknown-key", "Did you mean optim.phases.critic?"),
        ("scheduler.phases.zz.min_factor=0", "scheduler.phases.zz", "unknown-key", "Available: critic, maker"),
        ("optim.phases.maker.lrr=1", "optim.phases.maker.lrr", "unknown-key", "Did you mean optim.phases.maker.lr?"),
        ("+optim.phases.maker.lrr=1", "optim.phases.maker.lrr", "unknown-key", "Did you mean optim.phases.maker.lr?"),
        ("optim.phases.maker.lr=-1", "optim.phases.maker.lr", "out-of-range", ""),
        ("optim.phases.maker.lr=fast", "optim.phases.maker.lr", "invalid-type", ""),
        ("optim.phases.maker.nesterov=3", "optim.phases.maker.nesterov", "invalid-type", ""),
        ("optim.phases.maker.lr=auto", "optim.phases.maker.lr", "cannot-combine", "Use a number."),
        ("optim.lr=auto", "optim.phases.critic.lr", "cannot-combine", "Set both to numbers."),
        ("optim.phases.maker.layer_decay=0.5", "optim.phases.maker.layer_decay", "not-supported", ""),
        ("optim.phases.maker.phases=1", "optim.phases.maker.phases", "unknown-key", ""),
        ("optim.phases.maker._target_=x", "optim.phases.maker._target_", "unknown-key", ""),
        ("optim.phases={maker: 3}", "optim.phases.maker", "invalid-type", ""),
    ],
)
def test_what_a_phase_cannot_have_is_refused_with_the_place(
    word: str, where: str, code: str, remedy: str, catalog: Catalog
) -> None:
    lr_less = tuple(w for w in WORDS if not (word.startswith("optim.phases={") and "phases.critic" in w))
    (found, *_) = problems((*lr_less, word), catalog)
    assert found.where == where
    assert found.code == code or word.endswith("_target_=x")
    assert remedy in found.remedy


def test_a_file_is_named_with_its_line(catalog: Catalog) -> None:
    folder = catalog.roots[0] / "experiment"
    folder.mkdir()
    lines = [
        "# @package _global_",
        "# Mine",
        "optim:",
        "  phases:",
        "    critic: {lr: 0.25}",
        "    maker:",
        "      lr: -2",
    ]
    (folder / "mine.yaml").write_text("\n".join(lines) + "\n")
    words = ("experiment=mine", *WORDS[:5])
    (found,) = problems(words, Catalog((catalog.roots[0],)))
    assert (found.where, found.origin) == ("optim.phases.maker.lr", "conf/experiment/mine.yaml:7")
    (folder / "mine.yaml").write_text("\n".join([*lines[:-1], "      lr: 2"]) + "\n")
    config = load(words, Catalog((catalog.roots[0],)))
    assert config.optim_phases == {"critic": {"lr": 0.25}, "maker": {"lr": 2}}


def test_a_task_without_declared_phases_is_checked_when_it_is_built(catalog: Catalog) -> None:
    file = catalog.roots[0] / "task" / "pair.yaml"
    file.write_text(TASK.replace("_phases_: [critic, maker]\n", ""))
    words = [*WORDS[:-1], "scheduler.phases.makr.min_factor=0.5"]
    config = load(words, Catalog((catalog.roots[0],)))
    with pytest.raises(ConfigError) as caught:
        prepare_training(assemble(config, TRUSTED))
    (found,) = caught.value.problems
    assert (found.where, found.code) == ("scheduler.phases.makr", "unknown-key")
    assert found.remedy == "Did you mean scheduler.phases.maker?"


def test_every_key_says_what_it_is(catalog: Catalog) -> None:
    found = explain("optim.phases.critic.lr", load(WORDS, catalog), WORDS, catalog)
    shared = explain("optim.lr", load(WORDS, catalog), WORDS, catalog)
    assert (found["value"], found["origin"]) == (0.5, "command line")
    assert (found["rule"], found["help"]) == (shared["rule"], shared["help"])


def saved_weights(run: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.pt", weights_only=True)["networks"]
    return weights


def fit(words: tuple[str, ...], catalog: Catalog, run: Path) -> None:
    train(load(words, catalog), Request(words, (), run, TRUSTED), Silent())


def test_they_are_saved_resumed_and_repeated(catalog: Catalog, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit((*WORDS[:-1], "scheduler=constant"), catalog, whole)
    fit((*WORDS[:-1], "scheduler=constant", "trainer.epochs=1"), catalog, parts)
    saved = load_saved(parts / "config.yaml")
    assert saved.optim_phases == {"critic": {"lr": 0.5, "momentum": 0}}
    longer, _ = resumed_config(parts, ["trainer.epochs=2"], catalog)
    resume(RunDir.find(parts), longer, TRUSTED, Silent())
    expected, found = saved_weights(whole), saved_weights(parts)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    columns, rows = read_metrics(whole / "metrics.csv")
    assert [name for name in columns if name.startswith("lr")] == ["lr/critic", "lr/maker"]
    assert (float(rows[0]["lr/critic"]), float(rows[0]["lr/maker"])) == (0.5, saved.optim.arguments["lr"])
    again, changes = repeat(parts, ["optim.phases.maker.lr=0.125"], catalog)
    assert again.optim_phases == {"critic": {"lr": 0.5, "momentum": 0}, "maker": {"lr": 0.125}}
    assert [change.path for change in changes] == ["optim.phases.maker.lr"]
    assert "lr: 0.125" in to_yaml(again)
