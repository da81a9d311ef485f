"""How often does the interval of `dlexp compare` hold the true difference? Simulated, where the truth is known.

    python -m benchmarks.evaluation.compare_coverage [--repetitions 10000]
    python -m benchmarks.evaluation.compare_coverage --equal [--repetitions 4000]

Two ways to train are given: each network that one of them trains answers N samples rightly or wrongly, by a threshold
on the sum of normal numbers: the way's own level, one for the sample (shared by all networks: how hard it is), one for
the sample and the way, one for the seed, and one for the seed and the sample. The true accuracies follow from the
normal distribution; an interval should hold their difference in 95 of 100 repetitions. Prints Markdown.

With --equal, several ways with one true accuracy are given instead, every two are compared as `dlexp compare` does, and
a repetition is wrong when any of the verdicts names a better one: at most 5 of 100 should be.

    spread    standard deviation of the seed's number: 0 is seeds that differ by chance alone
    shared    share of it (its variance) that both ways' seeds of one number have in common
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.intervals.paired_difference import difference_over_seeds, over_samples, over_seeds_and_samples

Floats = NDArray[np.float64]
_HARD, _OF_WAY, _REST = 1.0, 0.4, 0.6  # standard deviations
_ACCURACIES = (0.94, 0.96)
_WAYS = (2, 3, 4, 6)


@dataclass(frozen=True)
class World:
    """Two ways to train with `seeds` networks each, on `samples` samples."""

    seeds: int
    samples: int
    spread: float
    shared: float = 0.0

    @property
    def difference(self) -> float:
        """The true difference of the accuracies."""
        return _ACCURACIES[0] - _ACCURACIES[1]

    def draw(self, rng: np.random.Generator, accuracies: Sequence[float] = _ACCURACIES) -> list[Floats]:
        """Right (1) and wrong (0) answers of the networks of a way for each accuracy: (seeds, samples) each."""
        total = float(np.sqrt(_HARD**2 + _OF_WAY**2 + _REST**2 + self.spread**2))
        hard, common = rng.normal(0, _HARD, self.samples), rng.normal(0, 1, self.seeds)
        found = []
        for accuracy in accuracies:
            own = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * rng.normal(0, 1, self.seeds)
            level = NormalDist().inv_cdf(accuracy) * total + hard + rng.normal(0, _OF_WAY, self.samples)
            rest = rng.normal(0, _REST, (self.seeds, self.samples))
            found.append((level + self.spread * own[:, None] + rest > 0).astype(np.float64))
        return found


def coverage(world: World, method: str, repetitions: int, seed: int) -> float:
    """The share of repetitions in which the 95 % interval of a method holds the true difference."""
    rng, hits = np.random.default_rng(seed), 0
    for repetition in range(repetitions):
        first, second = world.draw(rng)
        if method == "seeds and samples":
            found = over_seeds_and_samples(first, second, 0.95)
        elif method == "seeds":
            found = difference_over_seeds(first.mean(axis=1), second.mean(axis=1), 0.95)
        else:
            (found,) = over_samples([(first, second)], 0.95, seed=repetition, zero_or_one=True)
        hits += found.low <= world.difference <= found.high
    return hits / repetitions


def false_verdicts(ways: int, world: World, repetitions: int, seed: int) -> float:
    """The share of repetitions in which any two of `ways` equal ways to train are told apart."""
    rng, wrong = np.random.default_rng(seed), 0
    pairs = list(combinations(range(ways), 2))
    level = 1 - 0.05 / len(pairs)
    for repetition in range(repetitions):
        drawn = world.draw(rng, [0.95] * ways)
        if world.seeds == 1:
            scores = [(drawn[one], drawn[other]) for one, other in pairs]
            found = over_samples(scores, level, seed=repetition, zero_or_one=True)
            wrong += any(difference.sign for difference in found)
            continue
        is_one_of_several = len(pairs) > 1
        wrong += any(
            over_seeds_and_samples(drawn[one], drawn[other], level, is_one_of_several=is_one_of_several).sign
            for one, other in pairs
        )
    return wrong / repetitions


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--equal", action="store_true", help="equal ways, and how often any two are told apart")
    options = parser.parse_args()
    if options.equal:
        _print_false_verdicts(options.repetitions)
    else:
        _print_coverage(options.repetitions)


def _print_false_verdicts(repetitions: int) -> None:
    print("| seeds of each | samples | spread | " + " | ".join(f"{ways} equal groups" for ways in _WAYS) + " |")
    print("|---" * (3 + len(_WAYS)) + "|")
    for seeds, samples, spread in product((1, 2, 3, 5, 10), (100, 360, 2000), (0.0, 0.1, 0.3)):
        if seeds == 1 and spread:
            continue  # two networks of one way are not equal then
        world = World(seeds, samples, spread)
        count = repetitions if seeds > 1 else max(1, repetitions // 10)  # a bootstrap takes long
        shares = [false_verdicts(ways, world, count, seed=ways) for ways in _WAYS]
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        print(f"| {seeds} | {samples} | {spread} | {cells} |", flush=True)


def _print_coverage(repetitions: int) -> None:
    print("| seeds of each | samples | spread | shared | seeds and samples | seeds alone |")
    print("|---|---|---|---|---|---|")
    for seeds in (2, 3, 5, 10):
        for samples in (100, 360, 2000):
            for spread, shared in ((0.0, 0.0), (0.1, 0.0), (0.3, 0.0), (0.3, 0.5)):
                world = World(seeds, samples, spread, shared)
                both, alone = (coverage(world, method, repetitions, seeds) for method in ("seeds and samples", "seeds"))
                print(
                    f"| {seeds} | {samples} | {spread} | {shared} | {100 * both:.1f} % | {100 * alone:.1f} % |",
                    flush=True,
                )
    print("\n| samples | one network each: bootstrap over samples |\n|---|---|")
    for samples in (100, 360, 2000):
        # Of one network there is no seed to draw: what is asked is about this very pair, so the spread is 0.
        share = coverage(World(1, samples, 0.0), "samples", max(1, repetitions // 10), samples)
        print(f"| {samples} | {100 * share:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
