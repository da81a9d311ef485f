"""Run directories as `dlexp train` and `dlexp evaluate` leave them, written in a millisecond."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dlexp.cli.app import main

CLASSES = ("cat", "dog", "owl")
_TEACHERS = TemporaryDirectory()  # until the end of the process


@cache
def trained_teacher(*words: str) -> Path:
    """The directory of a run that `dlexp train WORDS` made, trained once in each process of the tests."""
    path = Path(_TEACHERS.name) / f"{len(list(Path(_TEACHERS.name).iterdir()))}"
    with pytest.raises(SystemExit) as ended:
        main(["train", *words, "trainer.epochs=2", "trainer.device=cpu", "--run-dir", str(path), "-q"])
    assert not ended.value.code
    return path


def write_run(
    path: Path,
    *,
    model: str = "mlp",
    seed: int = 0,
    lr: float = 0.01,
    loss: float = 0.5,
    state: str = "finished",
    hours_ago: float = 1.0,
    **more: Any,
) -> Path:
    """A run of three epochs whose best validation loss is `loss`; `more` replaces keys of meta.json."""
    path.mkdir(parents=True)
    config = {
        "seed": seed,
        "name": None,
        "init_from": more.pop("init_from", None),
        "data": {"batch_size": 8, "split_seed": 0},
        "model": {"_target_": f"dlexp.models.{model}", "dropout": 0.2 if model == "mlp" else 0.5},
        "optim": {"_target_": "torch.optim.AdamW", "lr": lr},
        "task": {"monitor": "val/loss", "_metrics_": {"loss": "min", "accuracy": "max"}},
        "trainer": {"epochs": 3, "monitor": None, "device": "auto"},
        "logger": {"every_steps": 10},
    }
    started = datetime.now(UTC) - timedelta(hours=hours_ago)
    meta = {
        "started": started.isoformat(timespec="seconds"),
        "continued": [],
        "data_fingerprint": "f" * 64,
        "split_hash": "s" * 64,
        "model": model,
        "data": "digits",
        "parameters": 1000,
        "notes": [],
        "config": config,
        **more,
    }
    (path / "meta.json").write_text(json.dumps(meta))
    (path / "command.txt").write_text(f"dlexp train model={model}\n# in /\n")
    status = {"state": state, "epoch": 3, "epochs": 3, "reason": "", "exit_code": 0, "pid": 1, "host": "h"}
    (path / "status.json").write_text(json.dumps(status))
    lines = [f"{n},{n},0.1,{loss + gap},{0.9 - gap},2.0" for n, gap in ((1, 0.2), (2, 0.0), (3, 0.1))]
    (path / "metrics.csv").write_text("\n".join(["epoch,step,lr,val/loss,val/accuracy,seconds", *lines]) + "\n")
    (path / "config.yaml").write_text(f"choices:\n  model: {model}\n  data: digits\n  optim: adamw\nseed: {seed}\n")
    return path


def write_predictions(
    run: Path, right: Sequence[bool], *, split: str = "test", checkpoint: str = "best", **more: Any
) -> None:
    """eval/<split>/ of a classifier: sample i is of class i % 3, and the answer is that one or the next."""
    folder = run / "eval" / split
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["row,true,predicted,confidence,log_loss," + ",".join(f"p({name})" for name in CLASSES)]
    for row, is_right in enumerate(right):
        true = row % 3
        guess = true if is_right else (true + 1) % 3
        shares = [0.8 if number == guess else 0.1 for number in range(3)]
        numbers = [0.8, -math.log(shares[true]), *shares]
        lines.append(f"{row},{CLASSES[true]},{CLASSES[guess]},{','.join(map(str, numbers))}")
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    report = {
        "split": split,
        "checkpoint": checkpoint,
        "metrics": {"accuracy": sum(right) / len(right)},
        "split_accesses": 1,
        "data_as_trained": True,
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
    (folder / "report.json").write_text(json.dumps(report))


def write_values(run: Path, errors: Sequence[float]) -> None:
    """eval/test/ of a regression with one target, whose sample i is 2 i and is missed by errors[i]."""
    write_predictions(run, [True] * len(errors))
    lines = [f"{row},{2.0 * row},{2.0 * row + error}" for row, error in enumerate(errors)]
    (run / "eval" / "test" / "predictions.csv").write_text("\n".join(["row,true y,predicted y", *lines]) + "\n")
