"""`dlexp verify`: it says equal where everything is, and names the tensor where something is not."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.workflows.train.train import train
from dlexp.workflows.verify import verify as workflow

SMALL = ("data=iris", "trainer.device=cpu", "trainer.precision=fp32")
# A network that remembers, outside its weights, how often it was called: exactly what resuming cannot know.
FORGETFUL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, num_outputs):
        super().__init__()
        self.layer = nn.Linear(in_features, num_outputs)
        self.calls = 0
    def forward(self, x):
        self.calls += self.training
        return self.layer(x) * (1 + 0.01 * self.calls)
"""
# A network whose first weights are drawn from the clock: it does not even repeat.
RESTLESS = FORGETFUL.replace("self.calls = 0", "self.calls = __import__('time').perf_counter_ns() % 1000 / 1000")


def verify(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Run the words, which must end with `code`; returns standard output."""
    with pytest.raises(SystemExit) as stopped:
        main(["verify", *words, "-q"])
    captured = capsys.readouterr()
    assert stopped.value.code == code, captured.err
    return captured.out if code < 2 else captured.err


def own_model(monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> tuple[str, ...]:
    """A package and a configuration folder with one model; returns the words that choose it."""
    Path(name).mkdir()
    Path(name, "__init__.py").write_text(source)
    Path("conf", "model").mkdir(parents=True)
    Path("conf", "model", "own.yaml").write_text(f"# Mine\n_target_: {name}.Net\n")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return ("--config-dir", "conf", "--trust", name, "model=own")


@pytest.mark.slow
def test_every_kind_of_stop_is_tried_and_found_equal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left_by: list[str] = []

    def listening(*args: Any) -> Any:
        try:
            return train(*args)
        except BaseException as error:
            left_by.append(type(error).__name__)
            raise

    monkeypatch.setattr("dlexp.workflows.verify.verify.train", listening)
    words = (*SMALL, "data.batch_size=8", "data.eval_batch_size=4", "trainer.accumulate=2", "trainer.clip_norm=1.0")
    content = json.loads(verify(capsys, *words, "--json"))
    assert content["equal"]
    assert {check["place"]: check["saved_at"] for check in content["checks"]} == {
        "mid-epoch": {"epoch": 1, "batch": 6, "step": 9},
        "in accumulation": {"epoch": 1, "batch": 8, "step": 10},
        "last update of an epoch": {"epoch": 1, "batch": 12, "step": 12},
        "in validation": {"epoch": 1, "batch": 12, "step": 12},
        "killed in mid-epoch": {"epoch": 1, "batch": 0, "step": 6},
        "epoch edge": {"epoch": 1, "batch": 0, "step": 6},
    }
    assert sorted(left_by) == ["Interrupted"] * 5 + ["Killed"]
    assert content["compared"]["rows"] == 3
    assert content["compared"]["tensors"] > 6 * 40
    folder = Path(content["folder"])
    assert json.loads((folder / "verify.json").read_text()) == content
    assert [path.name for path in folder.iterdir()] == ["verify.json"]  # what is equal need not be kept


def test_a_run_too_short_for_a_place_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = verify(capsys, *SMALL, "data.batch_size=1000", "trainer.epochs=1")
    assert "skipped: mid-epoch: " in text
    assert "skipped: epoch edge: " in text
    assert "bit-identical" in text


def test_updates_of_ones_own_choice(capsys: pytest.CaptureFixture[str]) -> None:
    words = (*SMALL, "data.batch_size=32", "trainer.epochs=2", "--json")
    content = json.loads(verify(capsys, *words, "--at", "1", "--at", "6"))
    assert [(check["place"], check["saved_at"]["step"]) for check in content["checks"]] == [
        ("update 1", 1),
        ("update 6", 6),
    ]
    line_refused(capsys, "verify", *words[:-1], "--at", "7", code="out-of-range", where="--at")
    line_refused(capsys, "verify", "--at", "9", "--determinism", code="cannot-combine", where="--at")


def test_what_resuming_cannot_know_is_named_and_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*own_model(monkeypatch, "forgetful_package", FORGETFUL), *SMALL, "optim=sgd")
    text = verify(capsys, *words, "--at", "4", code=1)
    assert "different (update 4): last/networks/model.layer.weight: " in text
    assert "differ" in text.partition("model.layer.weight: ")[2]
    assert "--determinism" in text
    (folder,) = Path("outputs", "verify").iterdir()
    kept = {path.name for path in folder.iterdir()}
    assert kept == {"verify.json", "whole", "update-4"}
    content = json.loads((folder / "verify.json").read_text())
    first = content["checks"][0]["differences"][0]
    assert first["where"] == "last/networks/model.layer.weight"
    assert 0 < first["largest"] < 10
    # The run itself repeats: only stopping it makes a difference.
    assert json.loads(verify(capsys, *words, "--determinism", "--json"))["equal"]


def test_determinism_notices_a_run_that_does_not_repeat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*own_model(monkeypatch, "restless_package", RESTLESS), *SMALL, "trainer.epochs=1")
    text = verify(capsys, *words, "--determinism", code=1)
    assert "different (trained again): last/networks/model.layer.weight" in text
    assert "deterministic=true" in text


def test_a_run_is_verified_with_its_own_values_and_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", *SMALL, "trainer.epochs=5", "optim=sgd", "optim.lr=0.07", "-q"])
    run = Path("outputs", "latest").resolve()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    content = json.loads(verify(capsys, "latest", "trainer.epochs=2", "--at", "3", "--json"))
    assert content["equal"]
    assert content["epochs"] == 2
    assert Path("outputs", "latest").resolve() == run
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert "nowhere" in verify(capsys, "nowhere", code=2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_real_signal_ends_the_verification_and_leaves_nothing(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = workflow._Watch.observe
    seen: list[int] = []

    def observe(self: Any, record: Any) -> None:
        watch(self, record)
        seen.append(1)
        if len(seen) == 40:  # within a run that goes on
            os.kill(os.getpid(), number)

    monkeypatch.setattr(workflow._Watch, "observe", observe)
    text = verify(capsys, *SMALL, code=code)
    assert number.name in text
    assert list(Path("outputs", "verify").iterdir()) == []
