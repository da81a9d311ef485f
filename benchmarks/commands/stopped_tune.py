"""Does `search.stop` pay? Studies with a wide learning rate, with it and without, on the same seeds of the sampler.

    python -m benchmarks.commands.stopped_tune [--seeds 5] [--trials 30] [--epochs 10] [--pruners none median]

The learning rate is searched from 1e-6 to 100, next to the optimizer and what else the default space has but sizes, so
that an epoch has the same number of updates in every trial. Epochs are counted, and processor seconds of whole commands
(user and system). The same best value is the worse of the best values of the two sides, so that both reached it. Prints
Markdown: a row per study, and the totals.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from dataclasses import dataclass
from math import inf
from pathlib import Path

from benchmarks.harness.process_cost import cost

_SPACE = (
    "search.space.optim.lr={log:[1e-6,100]}",
    "search.space.model.hidden=null",
    "search.space.data.batch_size=null",
    "search.confirm_top=0",
    "search.max_failures=1000",
)


@dataclass(frozen=True)
class Side:
    """A study.

    Attributes:
        values: Best value so far after each trial; infinite before there is one.
        epochs: Epochs of all trials until then.
        stopped: Trials that search.stop ended.
        processor: Seconds, user and system.
    """

    values: list[float]
    epochs: list[int]
    stopped: int
    processor: float

    def epochs_to(self, value: float) -> int:
        """Epochs of all trials until the best value is `value` or less."""
        return next(made for best, made in zip(self.values, self.epochs, strict=True) if best <= value)


def study(words: tuple[str, ...], trials: int) -> Side:
    """Run a study in a directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "dlexp", "tune", "-n", str(trials), "--name", "s", "--quiet", *words, *_SPACE]
        spent = cost(["env", f"DLEXP_RUNS_DIR={folder}", *line])
        (table,) = Path(folder).rglob("trials.csv")
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
    values, epochs, best, made = [], [], inf, 0
    for row in rows:
        best = min(best, float(row["value"]) if row["state"] == "complete" else inf)
        made += int(row["epochs"])
        values.append(best)
        epochs.append(made)
    return Side(values, epochs, sum(row["state"] == "pruned" and bool(row["reason"]) for row in rows), spent.processor)


def compare(pruner: str, seed: int, options: argparse.Namespace) -> tuple[Side, Side]:
    """Print a row: a study without and with search.stop."""
    words = (f"search.seed={seed}", f"search.pruner={pruner}", f"trainer.epochs={options.epochs}", *options.words)
    plain = study(words, options.trials)
    stopping = study((*words, "search.stop=[diverged,dead]"), options.trials)
    same = max(plain.values[-1], stopping.values[-1])
    pairs = [
        (plain.epochs[-1], stopping.epochs[-1]),
        (plain.epochs_to(same), stopping.epochs_to(same)),
        (plain.processor, stopping.processor),
    ]
    cells = [
        pruner,
        str(seed),
        str(stopping.stopped),
        f"{plain.values[-1]:.4g} / {stopping.values[-1]:.4g}",
        *(f"{one:.4g} / {other:.4g} ({other / one:.2f})" for one, other in pairs),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)
    return plain, stopping


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--pruners", nargs="*", default=["none", "median"])
    parser.add_argument("--words", nargs="*", default=["trainer.device=cpu"])
    options = parser.parse_args()
    print("| pruner | seed | stopped | best value | epochs | epochs to the same best value | processor, s |")
    print("|---|---|---|---|---|---|---|")
    for pruner in options.pruners:
        sides = [compare(pruner, seed, options) for seed in range(options.seeds)]
        plain, stopping = (sum(pair[side].epochs[-1] for pair in sides) for side in (0, 1))
        print(f"| {pruner} | all | | | {plain} / {stopping} ({stopping / plain:.2f}) | | |", flush=True)


if __name__ == "__main__":
    main()
