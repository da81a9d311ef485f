"""What trainer.doctor=true costs: CPU time within the doctor by that of the training around it, in one process."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.workflows.doctor import watching
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

ROWS = {
    "MLP on digits, batches of 64": (
        "model=mlp model.hidden=[128,64] model.norm=none data.batch_size=64 data.augment=none trainer.epochs=20"
    ),
    "the default: MLP on digits, batches of 64, shifted": "data.batch_size=64 trainer.epochs=20",
    "CNN on digits": "model=simple_cnn data.batch_size=64 trainer.epochs=4",
    "LSTM, 400 series of 50 steps": "data=adding data.num_samples=400 model=lstm trainer.epochs=4",
}


class Clock:
    """CPU seconds within a function, and those before and after it that are not the training's."""

    def __init__(self) -> None:
        self.start = self.epochs = 0.0

    def timed(self, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """The function, whose time is added to `kind`."""

        def called(*given: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*given)
            finally:
                setattr(self, kind, getattr(self, kind) + time.process_time() - begun)

        return called


def measured(words: str, folder: Path) -> tuple[float, float, float]:
    """(CPU seconds of a training without the doctor's, those of its start, those of its epochs)."""
    given = (*words.split(), "trainer.doctor=true", "trainer.device=cpu")
    config, clock = load(given, Catalog(())), Clock()
    watcher: Any = watching._Watcher
    start, observe = watcher.__init__, watcher.observe
    watcher.__init__, watcher.observe = clock.timed(start, "start"), clock.timed(observe, "epochs")
    begun = time.process_time()
    try:
        train(config, Request(given, ("benchmark",), folder), Silent())
    finally:
        watcher.__init__, watcher.observe = start, observe
    return time.process_time() - begun - clock.start - clock.epochs, clock.start, clock.epochs


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("| training | seconds | start of the doctor, ms | its epochs by the training, % |\n|---|---|---|---|")
    for name, words in ROWS.items():
        found = []
        with tempfile.TemporaryDirectory() as place:
            for number in range(rounds + 1):  # the first one warms up
                found.append(measured(words, Path(place) / str(number)))
        seconds, start, epochs = zip(*found[1:], strict=True)
        shares = sorted(100 * mine / whole for mine, whole in zip(epochs, seconds, strict=True))
        spread = f"{median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f})"
        print(f"| {name} | {median(seconds):.2f} | {1e3 * median(start):.0f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
