"""Anomaly detection: each digit left out in turn, and bursts in an electroencephalogram.

    python -m benchmarks.generative.anomalies digits --seeds 3
    python -m benchmarks.generative.anomalies digits --seeds 1 --words model=vae
    python -m benchmarks.generative.anomalies bursts --seeds 3

`digits`: for each class a `model=autoencoder data=digits data.anomalies=[CLASS]`, whose test split is evaluated.

`bursts`: the ten seconds of `data=eeg` are cut into windows of 40 steps; those of the last third are the test split.
A burst is an oscillation of some steps in all channels at a random place of a test window, as high as so many standard
deviations of the training windows; half of the test windows have one. What is measured beside the network's score
needs no network: the energy of a window (the mean of its squares) and of its largest step; and how often the step with
the largest error is in the burst.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dlexp
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import assemble
from dlexp.config.saved import load_saved
from dlexp.metrics.ranking import areas
from dlexp.metrics.reports.report import Report
from dlexp.workflows.evaluate.anomalies import with_anomalies
from dlexp.workflows.run_record.restore import load_eval_weights

FIRST_SEED = 42
WINDOW, BURST = 40, 10
Floats = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, evaluate and print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["digits", "bursts"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--words", nargs="*", default=[])
    parser.add_argument("--classes", nargs="*", default=list("0123456789"))
    parser.add_argument("--heights", nargs="*", type=float, default=[1.0, 2.0, 3.0])
    options = parser.parse_args(arguments)
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLEXP_RUNS_DIR"] = folder
        runs = digits(options.words, options.classes, seeds) if options.what == "digits" else 0
        runs = runs or bursts(Path(folder), options.words, options.heights, seeds)
    print(f"\nprocessor time of a run: {(time.process_time() - begun) / runs:.1f} s, n = {runs}")


def digits(words: Sequence[str], classes: Sequence[str], seeds: Sequence[int]) -> int:
    """A row for each class and one for their mean; returns the number of runs."""
    print("| unseen | area under ROC | average precision | recall | false positives |")
    print("|---|---|---|---|---|", flush=True)
    names = ("roc_auc", "average_precision", "recall", "false_positive_rate")
    every = []
    for name in classes:
        own = ["model=autoencoder", "data=digits", f"data.anomalies=[{name}]", *words]
        found = [evaluated([*own, f"seed={seed}"])[0] for seed in seeds]
        every.append([[one[metric] for metric in names] for one in found])
        print(row(name, every[-1]), flush=True)
    print(row("mean", np.mean(every, axis=0).tolist()))
    return len(classes) * len(seeds)


def bursts(folder: Path, words: Sequence[str], heights: Sequence[float], seeds: Sequence[int]) -> int:
    """A row for each height of the bursts; returns the number of runs."""
    columns = ("area under ROC", "average precision", "recall", "false positives", "area by the worst step")
    print("| height |", " | ".join([*columns, "by energy", "by the largest step", "worst step in the burst"]), "|")
    print("|---" * 9 + "|", flush=True)
    for height in heights:
        rows = []
        for seed in seeds:
            train, test, places = windows(height, seed)
            write_ts(folder / "train.ts", train, ["calm"] * len(train))
            write_ts(folder / "test.ts", test, ["calm" if place < 0 else "burst" for place in places])
            own = ["model=lstm_autoencoder", "data=series_classes", f"data.path={folder / 'train.ts'}"]
            own += [f"data.test_path={folder / 'test.ts'}", "data.anomalies=[burst]", f"seed={seed}"]
            found, run = evaluated([*own, *words])
            metrics = ("roc_auc", "average_precision", "recall", "false_positive_rate")
            rows.append([*(found[name] for name in metrics), *of_steps(run.predict(folder / "test.ts"), test, places)])
        print(row(f"{height:g}", rows), flush=True)
    return len(heights) * len(seeds)


def of_steps(predicted: Any, test: Floats, places: NDArray[np.int64]) -> tuple[float, ...]:
    """Areas by the worst step, by the energy of a window and by that of its largest step, and how often it is found.

    predicted  what `dlexp predict` writes of the windows `test` (N, T, C)
    places     (N,) where bursts begin
    """
    is_burst, energy = places >= 0, (test**2).mean(axis=2)
    scores = (predicted["worst_step_error"].to_numpy(np.float64), energy.mean(axis=1), energy.max(axis=1))
    worst = predicted["worst_step"].to_numpy()
    at_place = (worst >= places) & (worst < places + BURST)
    return *(areas(each, np.flatnonzero(is_burst))[0] for each in scores), float(at_place[is_burst].mean())


def evaluated(words: Sequence[str]) -> tuple[dict[str, Any], dlexp.Run]:
    """Metrics of the test split of a run, and the run, as `dlexp evaluate` has them, without its pictures."""
    trained = dlexp.train(*words, progress=False)
    run = RunDir(trained.path)
    experiment = assemble(load_saved(run / "config.yaml", {}))
    load_eval_weights(run, experiment, "best")
    return dict(with_anomalies(Report({}), run, experiment, ("test", "best"), None).metrics), trained


def row(name: str, found: Sequence[Sequence[float]]) -> str:
    """A line of the table: mean and range over the seeds of each figure."""
    cells = [f"{statistics.fmean(c):.3f} ({min(c):.3f} to {max(c):.3f})" for c in zip(*found, strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


def windows(height: float, seed: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Windows (N, T, C) of training and test, and where in each test window its burst begins, -1 for none."""
    from importlib.util import find_spec

    root = Path((find_spec("matplotlib").submodule_search_locations or [""])[0])  # type: ignore[union-attr]
    values = np.fromfile(root / "mpl-data" / "sample_data" / "eeg.dat", dtype="<f8").reshape(-1, 4)
    cut = 2 * len(values) // 3
    values = (values - values[:cut].mean(0)) / values[:cut].std(0)
    train = np.stack([values[at : at + WINDOW] for at in range(0, cut - WINDOW + 1, 2)])
    test = np.stack([values[at : at + WINDOW] for at in range(cut, len(values) - WINDOW + 1, 2)])
    rng = np.random.default_rng(seed)
    places = np.where(rng.permutation(len(test)) < len(test) // 2, rng.integers(0, WINDOW - BURST, len(test)), -1)
    wave = height * np.sin(np.arange(BURST) * (2 * np.pi / 4) + np.pi / 4)[:, None] * 2**0.5
    for one, place in zip(test, places, strict=True):
        if place >= 0:
            one[place : place + BURST] += wave
    return train, test, places


def write_ts(path: Path, series: Floats, labels: Sequence[str]) -> None:
    """A .ts file of labeled series."""
    lines = ["@problemName bursts", "@classLabel true calm burst", "@data"]
    for one, label in zip(series, labels, strict=True):
        channels = (",".join(f"{value:.5f}" for value in channel) for channel in one.T)
        lines.append(":".join([*channels, label]))
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
