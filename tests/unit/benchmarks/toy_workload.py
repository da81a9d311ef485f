"""Workloads for the tests of the benchmarks' driver: counting, and failing."""

from __future__ import annotations

import sys

from benchmarks.harness.turns import Missing, Turns


def count(turns: Turns, batches: int, samples: int) -> None:
    """Epochs of `batches` updates of `samples` samples that do nothing."""
    turns.know(batches=batches)
    while True:
        for number in range(1, batches + 1):
            turns.step(number, batches, number * samples)
        turns.epoch(batches * samples)


def absent(turns: Turns) -> None:
    """Needs what nobody has."""
    raise Missing("moonshine is not installed")


def die(turns: Turns, after: int) -> None:
    """Fails in epoch number `after`."""
    for _ in range(after):
        turns.epoch(1)
    sys.exit("the last straw")
