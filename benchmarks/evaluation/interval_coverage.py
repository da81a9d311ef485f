"""How often does the 95 % interval of each metric of an evaluation hold its true value? Simulated, where it is known.

    python -m benchmarks.evaluation.interval_coverage [--repetitions 300] [--resamples 300]
        [--only classes|values|shares]

A world draws samples with what a network says of them; its true metrics are those of very many samples. A repetition
draws N samples and makes the intervals as `dlexp evaluate` does. Shares are not simulated: their coverage is a sum over
binomial probabilities. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.stats import binom

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.intervals.classes import class_intervals, each_class
from dlexp.metrics.intervals.shares import exact
from dlexp.metrics.intervals.values import value_intervals
from dlexp.metrics.outputs import ClassOutputs
from dlexp.metrics.regression import ValueSamples

Array = np.ndarray[Any, Any]
SIZES = (50, 100, 359, 2000)
LEVEL = 0.95
_TRUTH = 500_000  # samples that stand for all there are
_TOLERANCE = 1e-9

# name -> (classes, how far the true class's logit is shifted, share of each class)
CLASSES: dict[str, tuple[int, float, tuple[float, ...] | None]] = {
    "2 classes, 76 % right": (2, 1.0, None),
    "2 classes, 98 % right": (2, 3.0, None),
    "2 classes of 90 and 10 %, 92 % right": (2, 2.0, (0.9, 0.1)),
    "10 classes, 81 % right": (10, 2.5, None),
    "10 classes, 99 % right": (10, 4.0, None),
}
VALUES = ("normal errors", "skewed errors")


def classes(rng: np.random.Generator, count: int, world: str) -> ClassSamples:
    """Samples of a world of classes: normal logits, that of the true class shifted."""
    number, shift, shares = CLASSES[world]
    targets = rng.choice(number, size=count, p=shares)
    logits = rng.normal(size=(count, number)) + shift * (np.arange(number) == targets[:, None])
    return ClassSamples(ClassOutputs([0.9 * shift * logits], "logits"), targets)


def values(rng: np.random.Generator, count: int, world: str) -> ValueSamples:
    """Samples of a world of values with mean 5 and standard deviation 1, and errors of about 0.4."""
    true = 5 + rng.normal(size=(count, 1))
    normal = rng.normal(size=(count, 1))
    error = 0.4 * normal if world == "normal errors" else 0.3 * (np.exp(0.6 * normal) - 1)
    return ValueSamples(true + error, true)


def covered_classes(world: str, count: int, repetitions: int, resamples: int) -> dict[str, float]:
    """Metric -> share of the repetitions in which its interval holds the true value."""
    rng = np.random.default_rng(0)
    whole = classes(rng, _TRUTH, world)
    truth, of_each = whole.values(), whole.each
    hits: dict[str, list[float]] = defaultdict(list)
    for seed in range(repetitions):
        found = classes(rng, count, world)
        for name, interval in class_intervals(found, Resampling(resamples, LEVEL, seed)).items():
            if interval.low is not None and interval.high is not None:
                hits[name].append(interval.low - _TOLERANCE <= truth[name] <= interval.high + _TOLERANCE)
        for name, (low, high) in each_class(found, LEVEL).items():
            made = np.isfinite(low)
            hits[f"{name} of a class"].append(float(((low <= of_each[name]) & (of_each[name] <= high))[made].mean()))
    return {name: float(np.mean(each)) for name, each in hits.items()}


def covered_values(world: str, count: int, repetitions: int, resamples: int) -> dict[str, float]:
    """The same for values."""
    rng = np.random.default_rng(0)
    names = ("mae", "median_absolute_error", "mse", "rmse", "mean_error", "r2", "explained_variance", "mape")
    truth = values(rng, _TRUTH, world).chosen(names)
    hits = dict.fromkeys(names, 0)
    for seed in range(repetitions):
        sure = value_intervals(values(rng, count, world), Resampling(resamples, LEVEL, seed))
        for name in names:
            low, high = sure[name].low, sure[name].high
            hits[name] += low is not None and high is not None and low <= truth[name] <= high
    return {name: number / repetitions for name, number in hits.items()}


def shares() -> Iterator[tuple[str, list[str]]]:
    """Exact coverage of a share's interval."""
    for share in (0.5, 0.8, 0.95, 0.99, 0.998):
        cells = []
        for trials in SIZES:
            hits = np.arange(trials + 1)
            low, high = exact(hits, trials, LEVEL)
            held = (low <= share) & (share <= high)
            cells.append(f"{100 * binom.pmf(hits[held], trials, share).sum():.1f} %")
        yield f"{share}", cells


def table(title: str, covered: Callable[[int], dict[str, float]]) -> None:
    """A row a metric, a column a number of samples."""
    found = {count: covered(count) for count in SIZES}
    print(
        f"\n| {title} | " + " | ".join(f"N = {count:,}" for count in SIZES) + " |\n|---" * 1 + "|---" * len(SIZES) + "|"
    )
    for name in found[SIZES[-1]]:
        cells = [f"{100 * found[count][name]:.1f} %" if name in found[count] else "-" for count in SIZES]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--only", choices=("classes", "values", "shares"))
    args = parser.parse_args()
    error = 100 * (LEVEL * (1 - LEVEL) / args.repetitions) ** 0.5
    print(f"{args.repetitions} repetitions: standard error {error:.1f} % at 95 %; {args.resamples} resamples")
    if args.only in (None, "shares"):
        rows = dict(shares())
        print(
            "\n| true share | "
            + " | ".join(f"N = {count:,}" for count in SIZES)
            + " |\n|---"
            + "|---" * len(SIZES)
            + "|"
        )
        for share, cells in rows.items():
            print(f"| {share} | " + " | ".join(cells) + " |")
    repeated = {"repetitions": args.repetitions, "resamples": args.resamples}
    for world in CLASSES if args.only in (None, "classes") else ():
        table(world, lambda count, world=world: covered_classes(world, count, **repeated))  # type: ignore[misc]
    for world in VALUES if args.only in (None, "values") else ():
        table(world, lambda count, world=world: covered_values(world, count, **repeated))  # type: ignore[misc]


if __name__ == "__main__":
    main()
