"""`dlexp profile`, run in this process: numbers against closed forms and real runs, files, words, exit codes."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlexp.cli.app import main
from dlexp.config.saved import load_saved
from dlexp.workflows.profile import profile as workflow

FAST = ("data=wine", "model.hidden=[32]", "trainer.device=cpu", "--steps", "4")
TRAINED = 106  # of wine's 178


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of the machine is another test's."""
    monkeypatch.setattr("dlexp.runtime.matmul_rate._SIZES", {"cpu": (64,)})
    monkeypatch.setattr("dlexp.runtime.matmul_rate._SECONDS", 0.001)


def run(*words: str) -> int:
    """The exit code of `dlexp WORDS`."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def found(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON document of a profile."""
    capsys.readouterr()
    assert run("profile", *words, "--json") == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_the_numbers_agree_with_each_other_and_with_closed_forms(capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *FAST, "trainer.accumulate=2", "trainer.epochs=7", "model.norm=none")
    parts, update, run_ = content["parts"], content["update"], content["run"]
    assert list(parts) == ["data", "forward", "backward", "optimizer", "other"]
    assert all(part["seconds"] > 0 for part in parts.values())
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1)
    whole = sum(part["seconds"] for part in parts.values())
    assert parts["forward"]["share"] == pytest.approx(parts["forward"]["seconds"] / whole)
    assert (content["batch_size"], content["accumulate"], content["updates_measured"]) == (16, 2, 4)
    # Two operations a product: forward 13 x 32 and 32 x 3, backward the weights of both and the input of the second.
    products = 2 * 32 * (13 * 32 + 32 * 3) * 2 + 2 * 32 * 32 * 3
    arithmetic = content["arithmetic"]
    assert arithmetic["flops_per_update"] == products
    assert arithmetic["fraction"] == pytest.approx(products / update["seconds"] / arithmetic["matrix_flops_per_s"])
    samples = content["samples"]["train"]
    assert samples == TRAINED
    assert run_["updates"] == 7 * 4  # seven batches an epoch, two an update
    assert run_["training_seconds"] == pytest.approx(7 * samples / update["samples_per_s"])
    assert run_["seconds"] == run_["training_seconds"] + run_["validation_seconds"]
    assert update["samples_per_s"] == pytest.approx(samples / 4 / update["seconds"])  # an epoch was measured
    numbers = 13 * 32 + 32 + 32 * 3 + 3
    memory = content["memory"]
    assert (content["parameters"], memory["weights"], memory["gradients"]) == (numbers, 4 * numbers, 4 * numbers)
    assert memory["optimizer_state"] == 2 * 4 * numbers + 4 * 4  # AdamW: two moments, and a step for each of four
    assert memory["peak_resident"] > 50 << 20
    names = {operator["name"]: operator["calls"] for operator in content["operators"]}
    assert names["aten::addmm"] == 4  # two layers, two batches
    assert content["operators_on"] == "cpu"
    shares = [operator["share"] for operator in content["operators"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1.000001


def test_checkpoints_take_the_disk_that_was_foretold(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data=wine", "trainer.device=cpu", "optim=sgd")
    predicted = found(capsys, *words, "trainer.epochs=1", "--steps", "2")["run"]["checkpoint_bytes"]
    assert run("train", "-q", *words, "trainer.epochs=1", "--run-dir", "run") == 0
    assert predicted == pytest.approx(
        sum(path.stat().st_size for path in Path("run/checkpoints").glob("*.pt")), rel=0.01
    )


def test_the_files_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *FAST)
    (folder,) = Path("outputs/profile").iterdir()
    assert content["folder"] == str(folder)
    assert folder.name.split("-")[2:4] == ["mlp", "wine"]
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "command.txt", "config.yaml", "overrides.yaml", "profile.json", "profile.png", "trace.json.gz",
    }  # fmt: skip
    assert not Path("outputs/latest").exists()  # which names the run that evaluate looks at
    assert json.loads((folder / "profile.json").read_text()) == content
    assert (folder / "profile.png").read_bytes().startswith(b"\x89PNG")
    trace = json.loads(gzip.decompress((folder / "trace.json.gz").read_bytes()))
    names = {event["name"] for event in trace["traceEvents"]}
    assert {"aten::addmm", "forward", "data"} <= names
    config = load_saved(folder / "config.yaml")
    assert (config.trainer.epochs, config.regularization.early_stopping.patience) == (30, None)


def test_a_profile_leaves_generators_and_later_runs_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = (random.getstate(), torch.get_rng_state(), np.random.get_state(legacy=True)[1].tolist())  # type: ignore[index]
    found(capsys, *FAST)
    after = (random.getstate(), torch.get_rng_state(), np.random.get_state(legacy=True)[1].tolist())  # type: ignore[index]
    assert before[0] == after[0]
    assert torch.equal(before[1], after[1])
    assert before[2] == after[2]


@pytest.mark.parametrize(
    "words",
    [
        ("data=diabetes", "trainer.precision=bf16", "scheduler=plateau", "scheduler.patience=0"),
        ("data=wine", "scheduler=onecycle", "trainer.epochs=1", "regularization=early_stopping"),
        ("model=simple_cnn", "model.channels=[4]", "model.fc=8", "trainer.precision=fp16", "trainer.clip_norm=1"),
        ("data=wine", "optim.lr=auto", "trainer.on_nonfinite=rollback", "data.batch_size=1000"),
    ],
)
def test_every_kind_of_run_can_be_measured(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    content = found(capsys, *words, "trainer.device=cpu", "--steps", "3")
    assert content["updates_measured"] == 3
    assert content["arithmetic"]["flops_per_update"] > 0


def test_the_table_fits_eighty_columns_of_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("profile", *FAST, "--run-dir", "p") == 0
    text, err = capsys.readouterr()
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in text
    assert lines[1].startswith("mlp on wine, batch 16, cpu, 1 thread, fp32")
    assert [line.split()[0] for line in lines[3:9]] == ["data", "forward", "backward", "optimizer", "other", "update"]
    for label in ("speed", "arithmetic", "memory", "whole run", "checkpoints", "figure", "trace", "numbers"):
        assert any(line.startswith(f"  {label}") for line in lines), label
    assert "measuring 4 updates twice" in err
    assert "profiler" not in err  # torch's own log


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--steps", "0"), 2, "--steps=0"),
        (("model=resnet81",), 2, "model=resnet18?"),
        (("trainer.device=cuda:99",), 2, "trainer.device"),
        (("--run-dir", "full"), 2, "full"),
        (("data=csv", "data.path=none.csv", "data.target=a"), 3, "none.csv"),
        (("optim=sgd", "optim.lr=1e30"), 4, "Diverged"),
    ],
)
def test_what_cannot_be_measured_leaves_nothing(
    words: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    assert run("profile", "data=wine", "-q", *words) == code
    assert message in capsys.readouterr().err
    assert not Path("outputs").exists()
    assert [path.name for path in Path("full").iterdir()] == ["file"]


@pytest.mark.parametrize("during", ["fit", "matrix_rate"])
def test_a_signal_drops_the_profile(
    during: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(workflow, during)

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(workflow, during, interrupted)
    assert run("profile", *FAST, "-q") == 75
    assert "SIGTERM" in capsys.readouterr().err
    assert not Path("outputs").exists()
