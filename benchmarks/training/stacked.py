"""Runs of a stack beside the same runs alone: processor time of an update, and of whole commands.

    python -m benchmarks.training.stacked updates              # a row per network and number of members
    python -m benchmarks.training.stacked commands --rounds 3  # --seeds 10, one by one and stacked, in turn

Both sides take turns in one process, or one command after the other, so that a busy machine slows both alike; the
processor time of the thread, or of the command and its children, counts. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

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


def update_times(words: Sequence[str], members: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of an update alone, and of one of a stack divided by its members."""
    *stacked, alone = setups_of(words, members + 1)
    torch.set_num_threads(1)
    epochs = [[batch for batch in setup.batches.epoch(0) if len(batch) == 64] for setup in (*stacked, alone)]
    recovery = Recovery(alone.experiment.task, alone.rules, alone.state, RecoveryHooks())

    def updates(number: int) -> list[Update]:
        batches: list[list[Batch]] = [[epoch[number % len(epoch)]] for epoch in epochs]
        return [Update(s.experiment.task, s.state, s.rules, b) for s, b in zip(stacked, batches, strict=False)]

    stack = RunStack(updates(0))
    stack.begin(updates(0))
    one, together = [], []
    for number in range(rounds):
        for again in range(REPEATS):
            batch = epochs[-1][(REPEATS * number + again) % len(epochs[-1])]
            started = time.thread_time()
            recovery.update([batch])
            one.append(time.thread_time() - started)
        given = updates(number)
        started = time.thread_time()
        made = stack.make(given)
        together.append((time.thread_time() - started) / members)
        assert all(made)
    return one[2 * REPEATS :], together[2:]


def print_updates(rounds: int) -> None:
    """A row per network and number of members."""
    print("| network | members | alone, us | stacked, us a member | ratio |\n|---|---|---|---|---|")
    for name, words in NETWORKS.items():
        for members in (4, 10, 32):
            one, together = update_times(words, members, rounds)
            times = (one, together)
            shown = [f"{1e6 * statistics.median(t):.0f} ({1e6 * min(t):.0f}-{1e6 * max(t):.0f})" for t in times]
            ratio = statistics.median(together) / statistics.median(one)
            print(f"| {name} | {members} | {shown[0]} | {shown[1]} | {ratio:.2f} |", flush=True)


def command_cost(words: Sequence[str], folder: Path) -> tuple[float, float, float]:
    """(wall time, processor time, largest resident memory in MB) of a command."""
    line = [sys.executable, "-m", "dlexp", "train", "-q", *words, "--run-dir", str(folder)]
    started = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread())
    _, status, usage = os.wait4(process.pid, 0)
    assert not status, line
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def one_thread() -> dict[str, str]:
    """The environment with one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def print_commands(rounds: int, epochs: int) -> None:
    """`--seeds 10` one by one and stacked, in turn."""
    print("| network | command | wall, s | processor, s | memory, MB |\n|---|---|---|---|---|")
    for name, words in NETWORKS.items():
        line = (*DATA, *words, f"trainer.epochs={epochs}")
        sides = {"one run": (), "--seeds 10": ("--seeds", "10"), "--seeds 10 --stacked": ("--seeds", "10", "--stacked")}
        costs: dict[str, list[tuple[float, float, float]]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, more in sides.items():
                with tempfile.TemporaryDirectory() as folder:
                    costs[side].append(command_cost((*line, *more), Path(folder) / "runs"))
        for side, found in costs.items():
            columns = [f"{statistics.median(c):.1f} ({min(c):.1f}-{max(c):.1f})" for c in zip(*found, strict=True)]
            print(f"| {name} | {side} | {' | '.join(columns)} |", flush=True)


def main() -> None:
    """Measure what the line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("updates", "commands"))
    parser.add_argument("--rounds", type=int, default=0, help="60 updates or 3 commands by default")
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    if given.what == "updates":
        print_updates(given.rounds or 60)
    else:
        print_commands(given.rounds or 3, given.epochs)


if __name__ == "__main__":
    main()
