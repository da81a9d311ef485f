from __future__ import annotations

from math import cos, pi
from pathlib import Path

import pytest
from refusals import refused

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
    ("words", "name", "code", "where", "remedy"),
    [
        (["scheduler=plateau"], "a.png", "not-supported", "scheduler", "plots/curves.png"),
        (["optim.lr=auto"], "a.png", "not-supported", "optim.lr", "dlexp lr-find"),
        ([], "a.jpg", "invalid-value", "--plot-schedule", ".png"),
    ],
)
def test_where_there_is_no_curve_the_reason_is_told(
    words: list[str], name: str, code: str, where: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        plot_schedule(load([*TINY, *words], Catalog(())), tmp_path / name, ())
    refused(error.value, code, where, remedy)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["optim=lbfgs", "trainer.clip_norm=1"], "trainer.clip_norm"),
        (["optim=lbfgs", "trainer.precision=fp16"], "trainer.precision"),
        (["optim=lbfgs", "optim.layer_decay=0.5"], "optim"),
        (["optim=rmsprop", "scheduler=onecycle"], "scheduler"),
        (["optim.groups=[{match: hed, lr_factor: 2}]"], "optim.groups"),
        (["optim.groups=[{match: '1', factor: 2}]"], "optim.groups"),
        (["optim.groups=[{lr_factor: 2}]"], "optim.groups"),
        (["optim.groups=[{match: '1'}]"], "optim.groups"),
        (["optim=lbfgs", "optim.groups=[{match: '1', weight_decay: 0.1}]"], "optim"),
        (["optim=muon", "optim.adamw_betas=[0.9]"], "optim.adamw_betas"),
    ],
)
def test_what_cannot_go_together_is_refused_with_its_place(words: list[str], where: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        plot_schedule(load([*TINY, *words], Catalog(())), tmp_path / "a.png", ())
    assert all(problem.where.startswith(where) for problem in error.value.problems)
