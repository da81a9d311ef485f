from __future__ import annotations

from math import cos, pi
from pathlib import Path

import pytest

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.workflows.schedule import plot_schedule

TINY = ["data=iris", "model.hidden=[4]", "data.batch_size=16", "trainer.epochs=4"]


def test_the_curve_is_that_of_the_run_and_is_drawn_without_training(tmp_path: Path) -> None:
    config = load([*TINY, "optim=sgd", "optim.lr=0.5", "trainer.accumulate=2"], Catalog(()))
    facts = plot_schedule(config, tmp_path / "a.png", ())
    total, per_epoch = facts["updates"], facts["updates_per_epoch"]
    assert total == 4 * per_epoch
    assert facts["lr_first"] == facts["lr_highest"] == 0.5
    assert facts["lr_last"] == pytest.approx(0.5 * (1 + cos(pi * (total - 1) / total)) / 2)
    assert facts["momentum"] is None
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_momentum_that_turns_is_told_and_groups_with_rates_of_their_own_are_drawn(tmp_path: Path) -> None:
    words = ["scheduler=onecycle", "optim.layer_decay=0.5", "scheduler.pct_start=0.5"]
    facts = plot_schedule(load([*TINY, *words], Catalog(())), tmp_path / "a.png", ())
    assert facts["momentum"] == pytest.approx([0.85, 0.95], abs=0.01)
    assert facts["lr_first"] < facts["lr_highest"] > facts["lr_last"]
    assert abs(facts["update_of_highest"] - facts["updates"] / 2) <= 1


@pytest.mark.parametrize(
    ("words", "name", "reason"),
    [
        (["scheduler=plateau"], "a.png", "only training can tell"),
        (["optim.lr=auto"], "a.png", "found when training begins"),
        ([], "a.jpg", "PNG"),
    ],
)
def test_where_there_is_no_curve_the_reason_is_told(words: list[str], name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        plot_schedule(load([*TINY, *words], Catalog(())), tmp_path / name, ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["optim=lbfgs", "trainer.clip_norm=1"], "estimates the curvature from unscaled gradients"),
        (["optim=lbfgs", "trainer.precision=fp16"], "fp16 loss scaling is not supported with optim="),
        (["optim=lbfgs", "optim.layer_decay=0.5"], "one learning rate for all parameters"),
        (["optim=rmsprop", "scheduler=onecycle"], "this optimizer has none"),
        (["optim.groups=[{match: hed, lr_factor: 2}]"], "matches no parameter"),
        (["optim.groups=[{match: '1', factor: 2}]"], "has the keys match, lr_factor, weight_decay; did you mean"),
        (["optim.groups=[{lr_factor: 2}]"], "must say what it is for"),
        (["optim.groups=[{match: '1'}]"], "changes nothing"),
        (["optim=lbfgs", "optim.groups=[{match: '1', weight_decay: 0.1}]"], "has no weight decay"),
        (["optim=muon", "optim.adamw_betas=[0.9]"], "must be two numbers"),
    ],
)
def test_what_cannot_go_together_is_refused_with_the_reason(words: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        plot_schedule(load([*TINY, *words], Catalog(())), tmp_path / "a.png", ())
