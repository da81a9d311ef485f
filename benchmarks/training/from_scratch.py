"""Networks in NumPy beside torch's of the same words: how far their curves are apart, and an update's processor time.

    python -m benchmarks.training.from_scratch [--updates 200] [--rows mlp cnn ...]

How far curves part by rounding alone is shown by torch's network beside itself with weights one rounding error larger.
Both begin with the same weights, read the same batches and draw the same dropout, in fp32 on one thread, and take
turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import count
from statistics import median

import torch

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import evaluate
from dlexp.engine.step import train_step
from dlexp.runtime.seed import seed_step
from dlexp.types import Batch

_LINES = "data=docstrings data.min_texts=300"
# Name: the options in NumPy and in torch, and the words of both.
ROWS = {
    "mlp": (("numpy_mlp", "mlp"), "data=digits model.norm=none model.dropout=0.2"),
    "cnn": (
        ("numpy_cnn", "simple_cnn"),
        "data=digits model.channels=[16,32] model.fc=64 model.norm=none model.dropout=0",
    ),
    "rnn": (("numpy_rnn", "rnn"), "data=adding data.num_samples=2000 model.units=32 trainer.clip_norm=1"),
    "lstm": (
        ("numpy_lstm", "lstm"),
        "data=adding data.num_samples=2000 model.units=64 model.layers=1 model.dropout=0 trainer.clip_norm=1",
    ),
    "transformer": (
        ("numpy_transformer", "transformer_encoder"),
        f"{_LINES} model.token=32 model.ffn=relu model.dropout=0.1",
    ),
}


class Side:
    """One network of a row, trained update by update.

    losses    of each update
    seconds   of processor time, of each update
    """

    def __init__(self, words: str, *, is_moved: bool = False) -> None:
        config = load([*words.split(), "trainer.precision=fp32", "trainer.device=cpu"], Catalog(()))
        self.experiment = assemble(config)
        self.setup = prepare_training(self.experiment)
        self.experiment.networks.train()
        if is_moved:
            with torch.no_grad():
                for weight in self.experiment.networks.parameters():
                    weight.copy_(weight.nextafter(torch.full_like(weight, torch.inf)))
        self.batches = self._batches()
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self._seen = self._weight = 0.0

    def _batches(self) -> Iterator[Batch]:
        for epoch in count():
            yield from self.setup.batches.epoch(epoch)

    def update(self) -> None:
        """Make the next update."""
        batch, state = next(self.batches), self.setup.state
        seed_step(len(self.losses))
        begun = time.process_time()
        train_step(self.experiment.task, state, [batch], self.setup.rules)
        self.seconds.append(time.process_time() - begun)
        weight = float(state.sums.count)
        seen = state.sums.means()["loss"] * weight
        self.losses.append((seen - self._seen) / (weight - self._weight))
        self._seen, self._weight = seen, weight

    def metrics(self) -> dict[str, float]:
        """Those of the validation split."""
        own = self.experiment
        batches = EvalBatches(own.bundle, "val", own.config.eval_batch_size, own.device)
        return evaluate(own.task, own.networks, batches, own.precision, seed=own.config.seed).metrics


def difference(curve: Sequence[float], other: Sequence[float]) -> float:
    """The largest one of two curves, relative to the other."""
    return max(abs(a - b) / abs(b) for a, b in zip(curve, other, strict=True))


def compared(row: str, updates: int) -> str:
    """The line of a row."""
    options, words = ROWS[row]
    sides = [Side(f"model={option} {words}") for option in options]
    moved = Side(f"model={options[1]} {words}", is_moved=True)
    for number in range(updates):
        for side in sides if number % 2 else reversed(sides):
            side.update()
        moved.update()
    apart, by_rounding = (difference(side.losses, sides[1].losses) for side in (sides[0], moved))
    times = [1e3 * median(side.seconds[updates // 10 :]) for side in sides]
    found = [side.metrics() for side in sides]
    metric = next(name for name in ("accuracy", "rmse", "mae") if name in found[0])
    values = f"{metric} {found[0][metric]:.6g}, {found[1][metric]:.6g}"
    ratio = f"{times[0] / times[1]:.1f}"
    return f"| {row} | {apart:.1e} | {by_rounding:.1e} | {values} | {times[0]:.2f} | {times[1]:.2f} | {ratio} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| row | curves apart | torch beside itself | validation, NumPy and torch | NumPy, ms | torch, ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for row in given.rows:
        print(compared(row, given.updates), flush=True)


if __name__ == "__main__":
    main()
