"""How well a flow learns a density: two moons against a kernel density, digits in bits per dimension.

    python -m benchmarks.generative.flow [--seeds 3] [--words trainer.epochs=60 ...]

Trains `dlexp train model=flow` on both with each seed. The kernel density is scikit-learn's, Gaussian, of the training
points, its bandwidth the best of 30 by five-fold cross-validation. Prints Markdown: mean log density of the test points
in nats (of two moons in standardized coordinates) or bits per dimension, the largest error of a sample that went to the
noise and back, and processor seconds of the training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any


def trained(data: str, seed: int, words: Sequence[str], folder: Path) -> tuple[Any, float]:
    """The experiment of a finished run with its best weights, and the processor seconds of its training."""
    import dlexp
    from dlexp.artifacts.runs.run_dir import RunDir
    from dlexp.assemble.experiment import assemble
    from dlexp.config.saved import load_saved
    from dlexp.workflows.run_record.restore import load_eval_weights

    start = time.process_time()
    run = dlexp.train("model=flow", f"data={data}", f"seed={seed}", *words, run_dir=folder, progress=False)
    seconds = time.process_time() - start
    found = RunDir.find(Path(run.path))
    experiment = assemble(load_saved(found / "config.yaml", {}))
    load_eval_weights(found, experiment, "best")
    return experiment, seconds


def test_points(experiment: Any, split: str = "test") -> Any:
    """The inputs of the network for all samples of a split."""
    import torch

    return torch.cat([batch.inputs for batch in experiment.split(split)])


def nll_and_error(experiment: Any) -> tuple[float, float]:
    """Mean negative log density of the test split, and the largest error of `from_noise(to_noise(x))`."""
    import torch

    from dlexp.engine.evaluate import evaluate

    networks, task = experiment.networks, experiment.task
    found = evaluate(task, networks, experiment.split("test"), experiment.precision, seed=experiment.config.seed)
    network, points = networks["model"].eval(), test_points(experiment)
    with torch.inference_mode():
        noise, _ = network.to_noise(points, torch.full_like(points, 0.5))
        back = network.from_noise(noise)
    value = found.metrics["nll" if points.dim() == 2 else "bits_per_dim"]
    return value, float((back - points).abs().max())


def kernel_nll(experiment: Any) -> float:
    """Mean negative log density of the test points under the kernel density of the training points."""
    import numpy as np
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KernelDensity

    search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.03, 1.0, 30)}, cv=5)
    search.fit(test_points(experiment, "train").numpy())
    return -float(search.score(test_points(experiment).numpy())) / len(test_points(experiment))


def main() -> None:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--words", nargs="*", default=[], help="more overrides")
    asked = parser.parse_args()
    print("| data | seeds | flow (lowest to highest) | kernel density | largest error back | processor s |")
    print("|---|---|---|---|---|---|")
    for data, unit in (("two_moons", "nats"), ("digits", "bits per dimension")):
        values, errors, seconds, kernel = [], [], [], "-"
        for seed in range(asked.seeds):
            with tempfile.TemporaryDirectory() as folder:
                experiment, spent = trained(data, seed, asked.words, Path(folder) / "run")
            value, error = nll_and_error(experiment)
            values, errors, seconds = [*values, value], [*errors, error], [*seconds, spent]
            if data == "two_moons" and seed == 0:  # the data are those of every seed
                kernel = f"{kernel_nll(experiment):.3f}"
        low, high = min(values), max(values)
        figures = f"{mean(values):.3f} ({low:.3f} to {high:.3f}) {unit} | {kernel}"
        print(f"| {data} | {asked.seeds} | {figures} | {max(errors):.1e} | {mean(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
