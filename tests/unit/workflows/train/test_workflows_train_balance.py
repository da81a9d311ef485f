"""Balanced training raises the balanced accuracy of a rare class, by sampling and by weights."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dlexp.cli.app import main


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 rows, of which 30 are of the rare class, whose features overlap with those of the other."""
    rng = np.random.default_rng(0)
    targets = np.arange(600) % 20 == 0
    cells = rng.normal(size=(600, 2)) + 1.5 * targets[:, None]
    path = tmp_path_factory.mktemp("data") / "rare.csv"
    lines = [f"{a:.4f},{b:.4f},{'yes' if y else 'no'}" for (a, b), y in zip(cells, targets, strict=True)]
    path.write_text("\n".join(["a,b,y", *lines]) + "\n")
    return path


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


def trained(file: Path, place: Path, balance: str) -> float:
    """The balanced accuracy on val after the last epoch."""
    words = ["data=csv", f"data.path={file}", "data.target=y", "model.hidden=[8]", "trainer.epochs=15", "optim.lr=0.01"]
    run("train", *words, "trainer.device=cpu", f"data.balance={balance}", "--run-dir", str(place), "-q")
    with (place / "metrics.csv").open() as lines:
        return float(list(csv.DictReader(lines))[-1]["val/balanced_accuracy"])


def test_balanced_training_finds_the_rare_class(file: Path, tmp_path: Path) -> None:
    none, sampling, weights = (trained(file, tmp_path / name, name) for name in ("none", "sampling", "weights"))
    assert none < 0.6
    assert min(sampling, weights) > none + 0.1
    notes = json.loads((tmp_path / "sampling" / "meta.json").read_text())["notes"]
    assert any("data.balance=sampling" in note and "10 times for 'yes'" in note for note in notes)
    assert (tmp_path / "weights" / "config.yaml").read_text().count("balance: weights") == 1
