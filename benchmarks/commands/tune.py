"""What does a study cost beyond its training? `dlexp tune` against a plain Optuna script, whole processes in turn.

    python -m benchmarks.commands.tune [--rounds 3] [--trials 20 200] [--jobs-trials 60]

Training is the same on both sides (see plain_tune.py), the learning rate is searched, nothing is pruned or confirmed;
dlexp writes all its artifacts. The script gets the short OpenMP spin that dlexp sets for itself: without it a busy
neighbor makes it up to ten times slower. A ratio is taken within a round, so that a machine that is busy for a while
is busy for both; printed are the median of the ratios, their range and n. The last row sets `--jobs 2` against one
worker; it needs two free cores. Prints Markdown, and processor seconds (user and system, all processes) beside wall
time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.process_cost import Cost, cost

EPOCHS = 5
WORDS = (
    "optim=adamw",
    f"trainer.epochs={EPOCHS}",
    "search.space={optim.lr:{log:[1e-4,1e-1]}}",
    *(f"search.space.{key}=null" for key in ("model.hidden", "model.dropout", "data.batch_size", "optim.weight_decay")),
    "search.confirm_top=0",
    "search.pruner=none",
)


def plain(trials: int) -> Cost:
    """The script."""
    script = str(Path(__file__).with_name("plain_tune.py"))
    return cost(["env", "GOMP_SPINCOUNT=1000", sys.executable, script, str(trials), str(EPOCHS)])


def study(trials: int, jobs: int = 1) -> Cost:
    """The same search by dlexp, in a directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "dlexp", "tune", "-n", str(trials), "--jobs", str(jobs), "--quiet", *WORDS]
        return cost(["env", f"DLEXP_RUNS_DIR={folder}", *line])


def compare(name: str, one: Callable[[], Cost], other: Callable[[], Cost], rounds: int) -> None:
    """Print a row: `one` over `other`."""
    pairs = [(one(), other()) if n % 2 else (other(), one())[::-1] for n in range(rounds)]
    wall = [mine.wall / theirs.wall for mine, theirs in pairs]
    processor = [mine.processor / theirs.processor for mine, theirs in pairs]
    mine, theirs = (statistics.median(pair[side].wall for pair in pairs) for side in (0, 1))
    cells = [
        name,
        f"{statistics.median(wall):.2f} ({min(wall):.2f} to {max(wall):.2f})",
        f"{statistics.median(processor):.2f}",
        f"{mine:.1f} / {theirs:.1f}",
        str(rounds),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, nargs="*", default=[20, 200])
    parser.add_argument("--jobs-trials", type=int, default=60)
    options = parser.parse_args()
    print("| study | ratio of wall time (range) | of processor time | seconds, medians | n |")
    print("|---|---|---|---|---|")
    for trials in options.trials:
        compare(f"{trials} trials / plain script", lambda n=trials: study(n), lambda n=trials: plain(n), options.rounds)
    if options.jobs_trials:
        count = options.jobs_trials
        two, one = (lambda: study(count, 2)), (lambda: study(count, 1))
        compare(f"{count} trials, --jobs 2 / one worker", two, one, options.rounds)


if __name__ == "__main__":
    main()
