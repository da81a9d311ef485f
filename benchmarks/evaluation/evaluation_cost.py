"""What the metrics of an evaluation and their intervals cost, in seconds of processor time.

    python -m benchmarks.evaluation.evaluation_cost [--resamples 1000]

Logits are drawn; no network runs. Processor time, and not time on the clock, so that others on the machine are
not measured.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from dlexp.losses.classification import CrossEntropy
from dlexp.losses.regression import MSE
from dlexp.metrics.bootstrap import Resampling
from dlexp.specs import ClassSpec, DataSpec, TableSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.tasks.classification import Classification
from dlexp.tasks.regression import Regression
from dlexp.types import Prediction

SIZES = ((359, 10), (10_000, 2), (10_000, 10), (10_000, 100))


def of_classes(count: int, classes: int) -> tuple[Task, DataSpec, Prediction]:
    """Probabilities of `count` samples that are right more often than not."""
    rng = np.random.default_rng(0)
    targets = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes)) + 2 * (np.arange(classes) == targets[:, None])
    numbers = torch.from_numpy(logits.astype(np.float32))
    names = tuple(f"class {n}" for n in range(classes))
    about = DataSpec(TableSpec(2), ClassSpec(names))
    indices = torch.arange(count)
    found = Prediction(numbers.softmax(dim=1), torch.from_numpy(targets), torch.tensor(0.0), indices, logits=numbers)
    return Classification(spec=about, loss=CrossEntropy()), about, found


def of_values(count: int) -> tuple[Task, DataSpec, Prediction]:
    """Values with errors as large as their spread."""
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.normal(size=(count, 1)))
    guess = true + torch.from_numpy(rng.normal(size=(count, 1)))
    about = DataSpec(TableSpec(2), ValueSpec(("y",), (0.0,), (1.0,)))
    found = Prediction(guess, true, torch.tensor(0.0), torch.arange(count))
    return Regression(spec=about, loss=MSE()), about, found


def seconds(task: Task, about: DataSpec, prediction: Prediction, resampling: Resampling | None) -> float:
    """Processor time of one report, from a batch on."""
    begin = time.process_time()
    state = task.report_state()
    state.update(prediction)
    task.report(about, state, resampling)
    return time.process_time() - begin


def main() -> None:
    """A line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=1000)
    resampling = Resampling(parser.parse_args().resamples)
    torch.set_num_threads(1)
    seconds(*of_classes(50, 3), resampling)  # imports, first calls
    print(f"{'samples':>8} {'outputs':>8} {'metrics s':>10} {'with intervals s':>17}")
    cases = [(count, classes, of_classes(count, classes)) for count, classes in SIZES]
    for count, outputs, case in [*cases, (10_000, 1, of_values(10_000))]:
        plain, sure = (seconds(*case, each) for each in (None, resampling))
        print(f"{count:>8,} {outputs:>8} {plain:>10.2f} {sure:>17.2f}")


if __name__ == "__main__":
    main()
