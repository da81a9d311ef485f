"""A search over numbers of a small network: `dlexp tune --stacked 16` against a plain Optuna script, and one by one.

    python -m benchmarks.commands.stacked_tune [--rounds 3] [--trials 200] [--without-singles]

Learning rate, weight decay, dropout and label smoothing of the MLP 64-128-64-10 on digits, 10 epochs, nothing pruned
or confirmed, whole processes in turn, one thread each; round N has the sampler's seed N on all sides. All
search for the best validation accuracy of an epoch. dlexp writes all its artifacts. Prints Markdown: wall time,
processor time (user and system, all processes) and best accuracy of each round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.process_cost import Cost, cost

EPOCHS = 10
SPACE = {
    "optim.lr": "{log:[1e-4,1e-1]}",
    "optim.weight_decay": "{log:[1e-6,1e-1]}",
    "model.dropout": "{float:[0.0,0.5]}",
    "loss.label_smoothing": "{float:[0.0,0.2]}",
    "model.hidden": "null",
    "data.batch_size": "null",
}
WORDS = (
    *("model=mlp", "data=digits", "optim=adamw", "model.hidden=[128,64]", f"trainer.epochs={EPOCHS}"),
    *(f"search.space.{key}={values}" for key, values in SPACE.items()),
    *("trainer.monitor=val/accuracy", "search.confirm_top=0", "search.pruner=none"),
)
ENVIRONMENT = ("env", "OMP_NUM_THREADS=1", "GOMP_SPINCOUNT=1000")


def plain(trials: int, seed: int) -> tuple[Cost, float]:
    """The script, and the best accuracy."""
    script = str(Path(__file__).with_name("plain_tune.py"))
    with tempfile.NamedTemporaryFile() as printed:
        line = f'"$@" > {printed.name}'
        words = [sys.executable, script, str(trials), str(EPOCHS), "wide", str(seed)]
        found = cost([*ENVIRONMENT, "sh", "-c", line, "sh", *words])
        return found, 1 - float(Path(printed.name).read_text().split()[-1])


def study(trials: int, seed: int, stacked: int) -> tuple[Cost, float]:
    """The same search by dlexp in a directory of its own, and the best accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "dlexp", "tune", "-n", str(trials), "--quiet", "--name", "study", *WORDS]
        line += [f"search.seed={seed}", *(("--stacked", str(stacked)) if stacked > 1 else ())]
        found = cost([*ENVIRONMENT, f"DLEXP_RUNS_DIR={folder}", *line])
        (written,) = Path(folder).rglob("study.json")
        return found, float(json.loads(written.read_text())["best"]["value"])


def main() -> None:
    """Print a row for each side of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--without-singles", action="store_true", help="leave out dlexp tune without --stacked")
    options = parser.parse_args()
    print("| round | side | wall, s | of the script | processor, s | of the script | best accuracy |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(options.rounds):
        base, best = plain(options.trials, seed)
        rows = {"plain script": (base, best), "--stacked 16": study(options.trials, seed, 16)}
        if not options.without_singles:
            rows["one by one"] = study(options.trials, seed, 1)
        for side, (found, value) in rows.items():
            ratios = (found.wall / base.wall, found.processor / base.processor)
            cells = (f"{found.wall:.1f}", f"{ratios[0]:.2f}", f"{found.processor:.1f}", f"{ratios[1]:.2f}")
            print(f"| {seed} | {side} | {' | '.join(cells)} | {value:.4f} |", flush=True)


if __name__ == "__main__":
    main()
