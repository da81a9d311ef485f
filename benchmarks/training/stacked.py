"""Runs of a stack beside the same runs alone: processor time of an update, and of whole commands.

    python -m benchmarks.training.stacked updates              # a row per network and number of members
    python -m benchmarks.training.stacked commands --rounds 3  # --seeds 10, one by one and stacked, in turn
    python -m benchmarks.training.stacked commands --against FOLDER --only 64-128-64-10  # and by another build

Both sides take turns in one process, or one command after the other, so that a busy machine slows both alike; the
processor time of the process, or of the command and its children, counts. FOLDER is a checkout of another build, as
`git worktree add` makes it. Python keeps what it compiles, as for a package that is installed; the first commands
pay for that and are not counted. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.harness.process_cost import spread
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.typed import with_values
from dlexp.engine.loop import Update
from dlexp.engine.recovery import Recovery, RecoveryHooks
from dlexp.engine.stacking.stack import RunStack
from dlexp.types import Batch
from dlexp.workflows.prepare.initial_weights import prepared

NETWORKS = {
    "64-32-32-10": ("model.hidden=[32,32]",),
    "64-128-64-10": ("model.hidden=[128,64]",),
    "64-128-64-10, no dropout": ("model.hidden=[128,64]", "model.dropout=0"),
    "64-512-256-10, the default": (),
}
DATA = ("model=mlp", "data=digits")
FIRST_SEED = 42
REPOSITORY = Path(__file__).parents[2]
REPEATS = 4  # updates alone for each of the stack


def setups_of(words: Sequence[str], count: int) -> list[TrainingSetup]:
    """Runs that differ in the seed, prepared for training."""
    base, found, bundle = load((*DATA, *words), Catalog((), ())), [], None
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        experiment = prepared(with_values(base, {"seed": seed}), (), bundle)
        bundle = experiment.bundle
        found.append(prepare_training(experiment))
        found[-1].state.train_mode()
    return found


class Times(NamedTuple):
    """Seconds of updates: of the processor in all threads, and of the thread that trains, which others do not delay."""

    processor: list[float]
    thread: list[float]

    @contextmanager
    def one(self, members: int) -> Iterator[None]:
        """Add the body, which is an update of so many members."""
        before = time.process_time(), time.thread_time()
        yield
        self.processor.append((time.process_time() - before[0]) / members)
        self.thread.append((time.thread_time() - before[1]) / members)


def update_times(words: Sequence[str], members: int, rounds: int) -> tuple[Times, Times]:
    """Those of an update alone, and of one of a stack divided by its members."""
    *stacked, alone = setups_of(words, members + 1)
    torch.set_num_threads(1)
    epochs = [[batch for batch in setup.batches.epoch(0) if len(batch) == 64] for setup in (*stacked, alone)]
    recovery = Recovery(alone.experiment.task, alone.rules, alone.state, RecoveryHooks())

    def updates(number: int) -> list[Update]:
        batches: list[list[Batch]] = [[epoch[number % len(epoch)]] for epoch in epochs]
        return [Update(s.experiment.task, s.state, s.rules, b) for s, b in zip(stacked, batches, strict=False)]

    stack = RunStack(updates(0))
    stack.begin(updates(0))
    one, together = Times([], []), Times([], [])
    for number in range(rounds + 2):  # the first two warm up
        if number == 2:
            for values in (*one, *together):
                values.clear()
        for again in range(REPEATS):
            batch = epochs[-1][(REPEATS * number + again) % len(epochs[-1])]
            with one.one(1):
                recovery.update([batch])
        given = updates(number)
        with together.one(members):
            made = stack.make(given)
        assert all(made)
    stack.end()
    return one, together


def print_updates(rounds: int) -> None:
    """A row per network and number of members."""
    print("| network | members | alone, us | stacked, us a member | ratio | of the training thread |")
    print("|---|---|---|---|---|---|")
    for name, words in NETWORKS.items():
        for members in (4, 10, 32):
            one, together = update_times(words, members, rounds)
            shown = [spread([1e6 * value for value in times.processor], 0) for times in (one, together)]
            ratios = [statistics.median(t) / statistics.median(o) for o, t in zip(one, together, strict=True)]
            print(f"| {name} | {members} | {' | '.join(shown)} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def command_cost(words: Sequence[str], folder: Path, build: Path | None = None) -> tuple[float, float, float]:
    """(wall time, processor time, largest resident memory in MB) of a command of this build, or of one in a folder."""
    line = [sys.executable, "-m", "dlexp", "train", "-q", *words, "--run-dir", str(folder)]
    started, null = time.perf_counter(), subprocess.DEVNULL
    process = subprocess.Popen(line, stdout=null, stderr=null, env=one_thread(), cwd=build or REPOSITORY)
    _, status, usage = os.wait4(process.pid, 0)
    assert not status, line
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def one_thread() -> dict[str, str]:
    """The environment with one thread, in which Python keeps what it compiles."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "OMP_NUM_THREADS": "1"}


def print_commands(rounds: int, epochs: int, names: Sequence[str], against: Path | None) -> None:
    """`--seeds 10` one by one and stacked, in turn; ratios are of the first side, round by round."""
    print("| network | command | wall, s | ratio | processor, s | ratio | memory, MB |\n|---|---|---|---|---|---|---|")
    sides: dict[str, tuple[tuple[str, ...], Path | None]] = {
        **({"--seeds 10, the other build": (("--seeds", "10"), against)} if against else {}),
        "--seeds 10": (("--seeds", "10"), None),
        "--seeds 10 --stacked": (("--seeds", "10", "--stacked"), None),
        "one run": ((), None),
    }
    for name in names:
        line = (*DATA, *NETWORKS[name], f"trainer.epochs={epochs}")
        costs: dict[str, list[tuple[float, float, float]]] = {side: [] for side in sides}
        for build in {build for _, build in sides.values()}:
            command_cost_in_new_folder((*DATA, *NETWORKS[name], "trainer.epochs=1", *("--seeds", "2")), build)
        for _ in range(rounds):
            for side, (more, build) in sides.items():
                costs[side].append(command_cost_in_new_folder((*line, *more), build))
        first = next(iter(costs.values()))
        for side, found in costs.items():
            cells = []
            for column, (own, base) in enumerate(zip(zip(*found, strict=True), zip(*first, strict=True), strict=True)):
                cells.append(spread(own, 1))
                if column < 2:
                    cells.append(spread([value / reference for value, reference in zip(own, base, strict=True)]))
            print(f"| {name} | {side} | {' | '.join(cells)} |", flush=True)


def command_cost_in_new_folder(words: Sequence[str], build: Path | None) -> tuple[float, float, float]:
    """`command_cost` of a run directory that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        return command_cost(words, Path(folder) / "runs", build)


def main() -> None:
    """Measure what the line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("updates", "commands"))
    parser.add_argument("--rounds", type=int, default=0, help="60 updates or 3 commands by default")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--only", choices=list(NETWORKS), nargs="+", default=list(NETWORKS), help="networks of commands"
    )
    parser.add_argument("--against", type=Path, help="checkout of another build, for the commands")
    given = parser.parse_args()
    if given.what == "updates":
        print_updates(given.rounds or 60)
    else:
        print_commands(given.rounds or 3, given.epochs, given.only, given.against)


if __name__ == "__main__":
    main()
