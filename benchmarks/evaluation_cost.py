"""What the metrics of an evaluation and their intervals cost, in seconds of processor time.

    python benchmarks/evaluation_cost.py [--resamples 1000]

Probabilities are drawn; no network runs. Processor time, and not time on the clock, so that others on the machine are
not measured.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.report import report
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.types import Prediction

SIZES = ((359, 10), (10_000, 2), (10_000, 10), (10_000, 100))


def of_classes(count: int, classes: int) -> tuple[DataSpec, list[Prediction]]:
    """Probabilities of `count` samples that are right more often than not."""
    rng = np.random.default_rng(0)
    targets = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes)) + 2 * (np.arange(classes) == targets[:, None])
    outputs = torch.from_numpy(logits.astype(np.float32)).softmax(dim=1)
    names = tuple(f"class {n}" for n in range(classes))
    about = DataSpec(TableSpec(2), ClassSpec(names))
    return about, [Prediction(outputs, torch.from_numpy(targets), torch.tensor(0.0), torch.arange(count))]


def of_values(count: int) -> tuple[DataSpec, list[Prediction]]:
    """Values with errors as large as their spread."""
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.normal(size=(count, 1)))
    guess = true + torch.from_numpy(rng.normal(size=(count, 1)))
    about = DataSpec(TableSpec(2), ValueSpec(("y",), (0.0,), (1.0,)))
    return about, [Prediction(guess, true, torch.tensor(0.0), torch.arange(count))]


def seconds(about: DataSpec, predictions: list[Prediction], resampling: Resampling | None) -> float:
    """Processor time of one report."""
    begin = time.process_time()
    report(about, predictions, resampling)
    return time.process_time() - begin


def main() -> None:
    """A line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=1000)
    resampling = Resampling(parser.parse_args().resamples)
    torch.set_num_threads(1)
    report(*of_classes(50, 3), resampling)  # imports, first calls
    print(f"{'samples':>8} {'outputs':>8} {'metrics s':>10} {'with intervals s':>17}")
    cases = [(count, classes, *of_classes(count, classes)) for count, classes in SIZES]
    for count, outputs, about, predictions in [*cases, (10_000, 1, *of_values(10_000))]:
        plain, sure = (seconds(about, predictions, each) for each in (None, resampling))
        print(f"{count:>8,} {outputs:>8} {plain:>10.2f} {sure:>17.2f}")


if __name__ == "__main__":
    main()
