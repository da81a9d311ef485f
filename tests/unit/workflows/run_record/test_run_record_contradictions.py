"""Every key that may change while a run is resumed, against the state: what is trained already stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dlexp.config.compose import load
from dlexp.config.derive import CHANGEABLE
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_plain, plain_config
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import setting
from dlexp.workflows.run_record.contradictions import Progress, check_changes, is_continued

PATIENCE = "regularization.early_stopping.patience"


@pytest.fixture(scope="module")
def written() -> RunConfig:
    """What meta.json says of a run that is under way."""
    words = ["data=iris", "model=mlp", "trainer.epochs=10", "trainer.on_nonfinite=skip", f"{PATIENCE}=5"]
    return load(words, Catalog())


def state(*, epoch: int = 4, batch: int = 0, waited: int = 3, **more: Any) -> dict[str, Any]:
    """The parts of a checkpoint that changes are compared with, after `epoch` epochs of 3 updates."""
    return {
        "position": {"epoch": epoch, "batch": batch, "step": 3 * epoch + batch},
        "best": {"value": 0.5, "epoch": 1, "reference": 0.5, "waited": waited},
        "schedules": {"train": {"taken": 3 * epoch, "per_epoch": None}},
        "average": {},
        "nonfinite": {"in_a_row": 2, "attempt": 0},
        "epoch_start": None,
    } | more


def problems(
    written: RunConfig, changes: Mapping[str, Any], saved: dict[str, Any], *, is_over: bool = False, tracked: str = ""
) -> tuple[Problem, ...]:
    config = load_plain(plain_config(written), changes)
    try:
        check_changes(Progress(Path("r"), saved, is_over, tuple(filter(None, [tracked]))), written.tree, config)
    except ConfigError as error:
        return error.problems
    return ()


# key -> (a value that the state contradicts, the state, part of the remedy); None: no value can be
CONTRADICTED: dict[str, tuple[Any, dict[str, Any], str] | None] = {
    "trainer.epochs": (3, state(), "trainer.epochs=4 or more"),
    "trainer.on_nonfinite": ("rollback", state(batch=2), "trainer.on_nonfinite=skip"),
    "trainer.nonfinite_limit": (2, state(), "trainer.nonfinite_limit=3 or more"),
    "logger.mlflow_uri": ("sqlite:///b.db", state(), "logger.mlflow_uri=null"),
    "logger.mlflow_experiment": ("b", state(), "logger.mlflow_experiment=dlexp"),
    "logger.wandb_project": ("b", state(), "dlexp train --from r logger.wandb_project=b"),
    "logger.wandb_entity": ("b", state(), "logger.wandb_entity=null"),
} | dict.fromkeys(
    (
        *("trainer.device", "trainer.threads", "trainer.test", "trainer.save_every_steps", "trainer.doctor"),
        *("trainer.sample_every", "trainer.snapshot_every", "task.teacher"),
        *("logger.every_steps", "logger.tensorboard", "logger.mlflow", "logger.wandb", "logger.wandb_mode"),
        *("logger.patience", "data.download", "data.in_memory", "data.workers"),
    )
)
VALUES = {
    "trainer.epochs": 12, "trainer.device": "cuda", "trainer.threads": 2, "trainer.test": True, "logger.mlflow": True,
    "trainer.save_every_steps": 2, "trainer.on_nonfinite": "stop", "trainer.nonfinite_limit": 3, "logger.wandb": True,
    "logger.every_steps": 3, "logger.tensorboard": True, "logger.mlflow_uri": "sqlite:///b.db", "logger.patience": 1.0,
    "logger.mlflow_experiment": "b", "logger.wandb_project": "b", "logger.wandb_entity": "b",
    "logger.wandb_mode": "offline", "trainer.doctor": True, "trainer.sample_every": 2,
    "trainer.snapshot_every": 2,
}  # fmt: skip


def test_every_key_that_may_change_is_in_the_matrix() -> None:
    assert set(CONTRADICTED) == set(CHANGEABLE)


@pytest.mark.parametrize("key", [key for key, case in CONTRADICTED.items() if case is not None])
def test_a_change_that_the_state_contradicts_is_refused_with_value_and_remedy(key: str, written: RunConfig) -> None:
    case = CONTRADICTED[key]
    assert case is not None
    value, saved, remedy = case
    tracked = key.split(".")[1].split("_")[0] if key.startswith("logger.") else ""
    (problem,) = problems(written, {key: value}, saved, tracked=tracked)
    assert (problem.where, problem.given, problem.code) == (key, str(value), "incompatible-run")
    assert remedy in problem.remedy
    if key.startswith("logger."):
        assert tracked in problem.rule


@pytest.mark.parametrize("key", [key for key in VALUES if key in CHANGEABLE])
def test_a_change_that_fits_the_state_is_none_of_its_business(key: str, written: RunConfig) -> None:
    assert problems(written, {key: VALUES[key]}, state()) == ()


@pytest.mark.parametrize("key", [key for key in VALUES if key != "trainer.epochs"])
def test_a_change_of_a_finished_run_is_no_change_and_is_refused(key: str, written: RunConfig) -> None:
    (problem,) = problems(written, {key: VALUES[key]}, state(epoch=10, waited=0), is_over=True)
    assert (problem.where, problem.code) == (key, "no-effect")
    assert "10 epochs" in problem.rule
    if key == "trainer.test":
        assert "dlexp evaluate r" in problem.remedy
    else:
        assert f"dlexp train --from r {setting(key, VALUES[key])}" in problem.remedy


# Keys of an edited config.yaml, which --allow-changes lets pass: what the state contradicts, the number that the rule
# names and the key of the remedy.
@pytest.mark.parametrize(
    ("changes", "saved", "number", "remedy"),
    [
        ({"trainer.epochs": 4}, state(batch=1), "5", "trainer.epochs=5"),
        ({"trainer.epochs": 20}, state(waited=5), f"{PATIENCE}=5", "dlexp train --from r trainer.epochs=20"),
        ({PATIENCE: 3}, state(), "3", f"{PATIENCE}=4"),
        ({"trainer.monitor": "val/accuracy"}, state(), "0.5", "trainer.monitor="),
        ({"task.monitor": "val/accuracy"}, state(), "0.5", "task.monitor="),
        ({"regularization.ema.decay": 0.9}, state(), "12", "regularization.ema.decay="),
        ({"regularization.swa.start_epoch": 4}, state(), "4", "regularization.swa.start_epoch="),
        ({"regularization.swa.start_epoch": 5}, state(average={"count": 1}), "5", "regularization.swa.start_epoch="),
        ({"regularization.swa.start_epoch": 6, "regularization.swa.lr": 0.1}, state(), "12", "regularization.swa."),
        ({"optim.weight_decay": 0.5}, state(), "12", "optim.weight_decay="),
        ({"scheduler.warmup_epochs": 2}, state(), "warm", "scheduler.warmup_epochs="),
        ({"scheduler._target_": "dlexp.optim.schedules.smooth.linear"}, state(), "12", "scheduler._target_="),
        ({"scheduler.warmup_epochs": 2}, state(schedules={"train": {"per_epoch": {"best": 1}}}), "12", "scheduler."),
        ({"trainer.freeze_layers": 1}, state(), "12", "trainer.freeze_layers="),
        ({"data.batch_size": 8}, state(batch=1), "5", "data.batch_size="),
        ({"seed": 7}, state(batch=1), "5", "seed="),
        ({"init_from": "/elsewhere"}, state(), "12", "init_from="),
    ],
)
def test_an_edited_configuration_that_the_state_contradicts_is_refused(
    changes: dict[str, Any], saved: dict[str, Any], number: str, remedy: str, written: RunConfig
) -> None:
    found = problems(written, changes, saved)
    assert {problem.where for problem in found} <= set(changes)
    assert {problem.code for problem in found} == {"incompatible-run"}
    assert all(number in problem.rule and remedy in problem.remedy for problem in found)
    assert found


def test_another_rate_is_what_a_schedule_makes_of_it(written: RunConfig) -> None:
    assert problems(written, {"optim.lr": 0.5}, state()) == ()
    for option in ("constant", "plateau"):  # leave the rate that comes back with the optimizer's state
        flat = load(["data=iris", "model=mlp", f"scheduler={option}"], Catalog())
        (problem,) = problems(flat, {"optim.lr": 0.5}, state())
        assert (problem.where, "12 updates" in problem.rule) == ("optim.lr", True)


def test_patience_that_is_raised_lets_a_stopped_run_continue(written: RunConfig) -> None:
    saved = state(waited=5)
    assert problems(written, {PATIENCE: 8}, saved, is_over=True) == ()
    assert is_continued(Progress(Path("r"), saved, True), load_plain(plain_config(written), {PATIENCE: 8}))
    assert not is_continued(Progress(Path("r"), saved, True), written)


def test_nothing_contradicts_a_run_without_updates(written: RunConfig) -> None:
    fresh = state(epoch=0, waited=0)
    for changes in ({"optim.lr": 0.5}, {"trainer.monitor": "val/accuracy"}, {"trainer.epochs": 1}):
        assert problems(written, changes, fresh) == ()
