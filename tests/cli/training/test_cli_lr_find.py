"""`dlexp lr-find` and `dlexp train optim.lr=auto`, run in this process: files, words, exit codes."""

from __future__ import annotations

import csv
import json
import random
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.cli.app import main
from dlexp.config.saved import load_saved

# A sweep of a small network that takes a fraction of a second and has a clear curve.
SMALL = ("data=wine", "model.hidden=[32]", "optim=sgd", "trainer.device=cpu")
FLAT = (*SMALL, "--max-lr", "1e-5")  # nothing moves below it


def run(*words: str) -> int:
    """The exit code of `dlexp WORDS`."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def found(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    """The JSON document of a sweep."""
    capsys.readouterr()
    assert run("lr-find", *words, "--json") == code
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def only_folder() -> Path:
    (folder,) = Path("outputs/lr-find").iterdir()
    return folder


def rate_of(folder: Path | str) -> float:
    rate = load_saved(Path(folder) / "config.yaml").optim.arguments["lr"]
    assert isinstance(rate, float)
    return rate


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    networks: dict[str, torch.Tensor] = read_checkpoint(Path(folder) / "checkpoints" / "last.pt")["networks"]
    return networks


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_sweep_leaves_its_files_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *SMALL)
    folder = only_folder()
    assert content["run"] == str(folder)
    assert folder.name.split("-")[2:4] == ["mlp", "wine"]
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "command.txt", "config.yaml", "lr_find.csv", "lr_find.json", "lr_find.png", "overrides.yaml",
    }  # fmt: skip
    assert not Path("outputs/latest").exists()  # which names the run that evaluate looks at
    assert json.loads((folder / "lr_find.json").read_text()) == content
    assert (folder / "lr_find.png").read_bytes().startswith(b"\x89PNG")
    assert load_saved(folder / "config.yaml").model.arguments["hidden"] == [32]


def test_the_numbers_of_a_sweep_agree_with_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *SMALL)
    with (only_folder() / "lr_find.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "seed", "step", "lr_train.0", "lr_train.1", "loss", "smoothed", "grad_norm", "skipped",
    ]  # fmt: skip
    assert len(rows) == content["sweeps"][0]["points"]
    rates = [float(row["lr_train.0"]) for row in rows]
    assert rates[0] == pytest.approx(1e-7)
    steepest = min(rates, key=lambda rate: abs(np.log10(rate / content["steepest"])))
    assert steepest == pytest.approx(content["steepest"], rel=1e-2)
    low, high = content["range"]
    assert low < content["suggestion"] <= high
    least, most = content["interval"]
    assert least <= content["suggestion"] <= most
    assert content["groups"] == pytest.approx(dict.fromkeys(("train.0", "train.1"), content["suggestion"]))
    assert set(content["rules"]) == {"valley", "steep", "minimum", "lightning"}
    assert content["confidence"] == "high"
    assert content["settings"] == {
        "min_lr": 1e-7, "max_lr": 10.0, "steps": 100, "seeds": 1, "loss": "train", "val_batches": 4,
    }  # fmt: skip


def test_a_person_gets_the_line_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lr-find", *SMALL, "optim.lr=0.3", "seed=5") == 0
    out, err = capsys.readouterr()
    content = json.loads((only_folder() / "lr_find.json").read_text())
    line = f"dlexp train {shlex.join(SMALL)} seed=5 optim.lr={content['suggestion']}"
    assert f"next: {line}" in out
    assert "optim: sgd, lr from 1e-07 to 10" in err
    assert "rule lightning" in out
    assert not (only_folder() / "override.yaml").exists()


def test_apply_writes_an_experiment_that_train_takes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/model").mkdir(parents=True)
    content = found(capsys, *SMALL, "--apply", "--config-dir", "mine")
    rate = content["suggestion"]
    assert content["written"] == [str(only_folder() / "override.yaml"), "mine/experiment/lr_found.yaml"]
    assert [yaml.safe_load(Path(path).read_text()) for path in content["written"]] == [{"optim": {"lr": rate}}] * 2
    assert content["train"].endswith(f"optim.lr={rate} --config-dir mine")
    words = (*SMALL, "experiment=lr_found", "trainer.epochs=1", "--config-dir", "mine", "--quiet")
    assert run("train", *words) == 0
    assert rate_of("outputs/latest") == rate
    assert found(capsys, *SMALL, "--apply", "--config-dir", "mine")["suggestion"] == rate  # its own file is replaced


def test_apply_replaces_no_file_of_the_users_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/experiment").mkdir(parents=True)
    own = Path("mine/experiment/lr_found.yaml")
    own.write_text("# @package _global_\noptim:\n  lr: 3.0\n")
    assert run("lr-find", *SMALL, "--apply", "--config-dir", "mine") == 2
    assert "--apply=mine/experiment/lr_found.yaml" in capsys.readouterr().err
    assert "3.0" in own.read_text()
    assert not Path("outputs").exists()


@pytest.mark.parametrize("more", [(), ("--seeds", "2")])
def test_without_confidence_no_number_is_written(capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    Path("mine").mkdir()
    assert run("lr-find", *FLAT, "--apply", "--config-dir", "mine", *more) == 5
    out, err = capsys.readouterr()
    assert "confidence low" in out
    assert "NoResult" in err
    assert "--max-lr 0.0001" in err  # which way to move the range
    assert "next:" not in out
    assert "optim.lr=" not in out
    folder = only_folder()
    content = json.loads((folder / "lr_find.json").read_text())
    assert content["suggestion"] is None
    assert "train" not in content
    assert not (folder / "override.yaml").exists()
    assert list(Path("mine").rglob("*.yaml")) == []
    assert (folder / "lr_find.png").is_file()


def test_without_confidence_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    error = found(capsys, *FLAT, code=5)["error"]
    assert error["kind"] == "NoResult"
    assert error["exit_code"] == 5
    assert "lr_find.png" in error["message"]


def test_a_range_that_begins_in_the_descent_says_to_go_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lr-find", *SMALL, "--min-lr", "0.01", "--apply") == 5
    err = capsys.readouterr().err
    assert "NoResult" in err
    assert "--min-lr 0.0001" in err
    assert json.loads((only_folder() / "lr_find.json").read_text())["steepest"] > 0.01  # told, and not suggested
    assert not (only_folder() / "override.yaml").exists()


def test_a_minimum_at_the_top_says_to_go_up(capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *SMALL, "--max-lr", "0.03")
    assert "--max-lr 0.3" in content["advice"]


def test_several_seeds_give_their_median_and_their_spread(capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *SMALL, "--seeds", "3", "seed=7")
    each = [one["steepest"] for one in content["sweeps"]]
    assert [one["seed"] for one in content["sweeps"]] == [7, 8, 9]
    assert len(set(each)) > 1
    assert content["suggestion"] == sorted(each)[1]
    assert content["interval"] == [min(each), max(each)]
    assert found(capsys, *SMALL, "seed=8")["steepest"] == each[1]  # a seed's sweep stands alone


def test_the_validation_loss_has_less_noise_and_the_same_descent(capsys: pytest.CaptureFixture[str]) -> None:
    """Its running statistics have settled before the sweep: their first steps would pass for learning."""
    train, val = (found(capsys, *SMALL, "--loss", kind) for kind in ("train", "val"))
    assert val["drop_to_noise"] > 2 * train["drop_to_noise"]
    assert val["suggestion"] == pytest.approx(train["suggestion"], rel=1)
    assert val["settings"]["loss"] == "val"
    few = found(capsys, *SMALL, "--loss", "val", "--val-batches", "1", "data.eval_batch_size=4")
    assert few["sweeps"][0] != val["sweeps"][0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "19"], "--steps=19"),
        (["--min-lr", "0"], "--min-lr=0"),
        (["--min-lr", "nan"], "--min-lr=nan"),
        (["--max-lr", "inf"], "--max-lr=inf"),
        (["--min-lr", "1", "--max-lr", "5"], "--max-lr 1000"),
        (["--loss", "test"], "--loss=test"),
        (["--seeds", "0"], "--seeds=0"),
        (["--val-batches", "0"], "--val-batches=0"),
        (["optim.lr=abc"], "optim.lr=abc"),
        (["model=resnet81"], "model=resnet18?"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lr-find", *words) == 2
    assert message in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []


def test_a_sweep_that_ends_at_once_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lr-find", *SMALL, "--min-lr", "1e20", "--max-lr", "1e30") == 5
    err = capsys.readouterr().err
    assert "NoResult" in err and "lr=" in err
    assert "--min-lr" in err and "1e+20" in err


def test_regression_and_a_warm_start_are_swept_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data=diabetes", "model.hidden=[32]", "--loss", "val")
    assert run("train", *words[:2], "trainer.epochs=5", "--run-dir", "first", "--quiet") == 0
    cold = found(capsys, *words)
    warm = found(capsys, *words, "init_from=first", "--run-dir", "warm")
    assert cold["suggestion"] is not None
    losses = []
    for content in (cold, warm):
        with (Path(content["run"]) / "lr_find.csv").open(newline="") as file:
            losses.append(float(next(csv.DictReader(file))["loss"]))
    assert losses[1] < 0.9 * losses[0]


def test_training_is_the_same_after_a_sweep_in_the_same_process() -> None:
    train = ("train", *SMALL, "trainer.epochs=2", "--quiet")
    assert run(*train, "--run-dir", "alone") == 0
    random.seed(1)
    before = random.getstate(), torch.get_rng_state()
    assert run("lr-find", *SMALL, "--quiet", "--seeds", "2") == 0
    assert before[0] == random.getstate()
    assert torch.equal(before[1], torch.get_rng_state())
    assert run(*train, "--run-dir", "after") == 0
    assert same(weights("alone"), weights("after"))


def test_auto_finds_the_rate_first_and_records_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = (*SMALL, "trainer.epochs=2")
    assert run("train", *words, "optim.lr=auto", "--run-dir", "auto") == 0
    err = capsys.readouterr().err
    rate = rate_of("auto")
    assert f"selected optim.lr={rate}" in err
    assert rate == found(capsys, *SMALL)["suggestion"]
    assert {path.name for path in Path("auto/lr_find").iterdir()} == {"lr_find.csv", "lr_find.json", "lr_find.png"}
    assert run("train", *words, f"optim.lr={rate}", "--run-dir", "number", "--quiet") == 0
    assert same(weights("auto"), weights("number"))


def test_neither_resume_nor_from_looks_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", *SMALL, "trainer.epochs=1", "optim.lr=auto", "--run-dir", "auto", "--quiet") == 0
    monkeypatch.setattr("dlexp.workflows.lr_find.lr_find.run_sweep", None)  # calling it would fail
    rate = rate_of("auto")
    assert run("train", "--resume", "auto", "trainer.epochs=2", "--quiet") == 0
    assert rate_of("auto") == rate
    assert run("train", "--from", "auto", "--run-dir", "again", "trainer.epochs=1", "--quiet") == 0
    assert rate_of("again") == rate
    assert run("evaluate", "again", "--json") == 0


def test_auto_is_found_once_for_all_seeds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", *SMALL, "trainer.epochs=1", "optim.lr=auto", "--seeds", "2", "--run-dir", "group", "--quiet")
    assert run(*words) == 0
    assert rate_of("group/seed-42") == rate_of("group/seed-43")
    assert Path("group/lr_find/lr_find.json").is_file()
    monkeypatch.setattr("dlexp.workflows.lr_find.lr_find.run_sweep", None)
    assert run(*words) == 0  # a group that goes on keeps what it began with


def test_auto_without_confidence_trains_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    # Targets that the inputs say nothing about, in batches of two: noise and no descent.
    rows = [f"{random.Random(n).random()},{random.Random(n + 500).random()}" for n in range(60)]
    Path("noise.csv").write_text("\n".join(["x,y", *rows]))
    words = (
        "data=csv",
        "data.path=noise.csv",
        "data.target=y",
        "data.batch_size=2",
        "model.norm=none",
        "optim.lr=auto",
    )
    assert run("train", *words, "model.hidden=[2]", "--quiet") == 5
    assert "optim.lr=auto: " in capsys.readouterr().err
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["scheduler=onecycle", "scheduler.max_factor=10"], 2, "scheduler.max_factor=1"),
        (["scheduler=onecycle", "+scheduler.max_lr=1"], 2, "scheduler.max_lr=1"),
        (["optim.weight_decay=auto"], 2, "optim.weight_decay=auto"),
        (["data.eval_batch_size=auto"], 2, "data.eval_batch_size=auto"),
    ],
)
def test_auto_is_refused_where_it_means_nothing(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "optim.lr=auto", *words) == code
    assert message in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []


def test_auto_goes_with_one_cycle_whose_peak_it_is() -> None:
    assert run("train", *SMALL, "scheduler=onecycle", "optim.lr=auto", "trainer.epochs=1", "--quiet") == 0
    assert 1e-4 < rate_of("outputs/latest") < 1


def test_a_dry_run_builds_everything_and_does_not_look(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlexp.workflows.lr_find.lr_find.run_sweep", None)
    assert run("train", *SMALL, "optim.lr=auto", "--dry-run") == 0
    assert list(Path.cwd().iterdir()) == []
