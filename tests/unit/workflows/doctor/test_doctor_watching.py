"""trainer.doctor=true: findings while a run trains, in train.log and doctor.jsonl, and not a bit of the run changed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.compose import load
from dlexp.config.derive import resumed_config
from dlexp.config.files.catalog import Catalog
from dlexp.errors import Interrupted
from dlexp.runtime.signals import StopRequest
from dlexp.workflows.doctor.watching import events_until
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, resume, train

SMALL = ("model=mlp", "model.hidden=[8]", "trainer.device=cpu", "trainer.epochs=5")
# Nothing is learned: the rate is far too low for anything to move, and there is no warm-up.
FAULTY = ("optim=sgd", "optim.lr=1e-12", "scheduler=constant", "data=wine", "model.norm=none", "model.dropout=0")


class Told(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)


def trained(folder: str, *words: str, reporter: Silent | None = None) -> Path:
    path = Path(folder).absolute()
    given = (*SMALL, *words)
    train(load(given, Catalog(())), Request(given, ("test",), path), reporter or Silent())
    return path


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "doctor.jsonl").read_text().splitlines()]


def test_a_sure_finding_is_told_once_everywhere() -> None:
    told = Told()
    path = trained("faulty", *FAULTY, "trainer.doctor=true", "trainer.epochs=7", reporter=told)
    found = events(path)
    assert {event["code"] for event in found} & {"plateau", "class_collapse"}
    assert len({event["code"] for event in found}) == len(found)
    for event in found:
        assert event["evidence"] and event["epoch"] <= 7
        assert sum(event["code"] in text and "prove it with dlexp doctor" in text for text in told.texts) == 1
        assert f"doctor: {event['severity']} {event['code']}" in (path / "train.log").read_text()
    assert json.loads((path / "status.json").read_text())["state"] == "finished"  # it never stops a run


def test_a_healthy_run_hears_nothing() -> None:
    told = Told()
    path = trained("healthy", "trainer.doctor=true", "data=iris", reporter=told)
    assert not (path / "doctor.jsonl").exists()
    assert not [text for text in told.texts if "doctor" in text]


@pytest.mark.parametrize("words", [("data=wine",), ("data=digits", "model.dropout=0.2", "regularization.mixup=0.2")])
def test_not_a_bit_of_the_run_changes(words: tuple[str, ...]) -> None:
    states = [
        torch.load(trained(name, *words, f"trainer.doctor={name}") / "checkpoints" / "best.pt", weights_only=False)
        for name in ("true", "false")
    ]
    first, second = (state["networks"] for state in states)
    first, second = (dict(_flat(each)) for each in (first, second))
    assert first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def _flat(tree: Any, path: str = "") -> list[tuple[str, torch.Tensor]]:
    if isinstance(tree, torch.Tensor):
        return [(path, tree)]
    if not isinstance(tree, dict):
        return []
    return [pair for name, value in tree.items() for pair in _flat(value, f"{path}/{name}")]


class _After(Silent):
    """Asks a run to stop after so many epochs."""

    def __init__(self, stop: StopRequest, epochs: int) -> None:
        self.stop, self.epochs = stop, epochs

    def observe(self, record: Any) -> None:
        if "is_best" in dir(record) and record.epoch == self.epochs:
            self.stop.request(signal.SIGTERM)


def test_a_resumed_run_knows_its_epochs_and_tells_nothing_twice() -> None:
    given, stop = (*SMALL, *FAULTY, "trainer.doctor=true", "trainer.epochs=8"), StopRequest()
    path = Path("resumed").absolute()
    with pytest.raises(Interrupted):
        train(load(given, Catalog(())), Request(given, ("test",), path), _After(stop, 6), stop)
    before = events(path)
    assert before
    told = Told()
    resume(RunDir(path), resumed_config(path, (), Catalog(()))[0], (), told)
    after = events(path)
    assert after[: len(before)] == before and len({event["code"] for event in after}) == len(after)
    assert not [text for text in told.texts if any(event["code"] in text for event in before)]


def test_events_after_a_checkpoint_and_damaged_lines_are_dropped() -> None:
    path = Path("doctor.jsonl")
    path.write_text('{"code": "plateau", "epoch": 3}\n{"code": "overfitting", "epoch": 9}\n{"code": "pla')
    assert [event["code"] for event in events_until(path, 5)] == ["plateau"]
    assert events_until(Path("none.jsonl"), 5) == []
