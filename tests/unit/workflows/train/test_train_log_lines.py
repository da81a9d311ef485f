"""train.log has a line an epoch while the run is training, so that `tail -f` follows it."""

from __future__ import annotations

from pathlib import Path

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

WORDS = ("data=iris", "model.hidden=[8]", "trainer.epochs=3", "trainer.device=cpu")


class Follower(Silent):
    """Reads train.log at the end of each epoch, as `tail -f` does."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def observe(self, record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            lines = Path("outputs/latest/train.log").read_text().splitlines()
            self.seen.append([line.partition(" ")[2] for line in lines if " epoch " in line])


def test_each_epoch_is_in_the_log_when_it_ends(tmp_path: Path) -> None:
    follower = Follower()
    train(load(WORDS, Catalog()), Request(WORDS, ()), follower)
    assert [len([line for line in lines if line.startswith("epoch ")]) for lines in follower.seen] == [1, 2, 3]
    first = next(line for line in follower.seen[0] if line.startswith("epoch "))
    assert first.startswith("epoch 1/3  train/loss ") and first.endswith("  best")
    assert "val/loss " in first
