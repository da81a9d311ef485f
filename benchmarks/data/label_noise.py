"""How well wrong labels are found: planted ones in data whose labels are known to be good.

    python -m benchmarks.data.label_noise [--seeds 5] [--rates 0 0.05 0.1 0.2] [--data digits iris wine ...]

Of each data set a share of the labels is replaced by another class, at random, with each seed, and the training and
validation samples are examined as `dlexp doctor` does. Precision at k is that of the k surest suspects, where k wrong
labels are there; precision and recall are those of the list that is written. Prints the means, and the smallest and
largest values, as Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

DATA = ("digits", "iris", "wine", "breast_cancer", "synthetic_images", "docstrings")


def planted(bundle: Any, rate: float, seed: int) -> tuple[Any, set[int]]:
    """The data with wrong labels in training and validation split, and their sample numbers."""
    from dataclasses import replace

    import numpy as np
    import torch

    from dlexp.data.columns import Dense, tensor_of

    rng, wrong, splits = np.random.default_rng(seed), set[int](), dict(bundle.splits)
    classes = bundle.spec.num_outputs
    for name in ("train", "val"):
        split = bundle.splits[name]
        labels = tensor_of(split.targets).numpy().copy()
        some = rng.permutation(len(labels))[: round(rate * len(labels))]
        labels[some] = (labels[some] + rng.integers(1, classes, len(some))) % classes
        wrong |= set(split.indices.numpy()[some].tolist())
        splits[name] = replace(split, targets=Dense(torch.from_numpy(labels)))
    return replace(bundle, splits=splits), wrong


def measured(name: str, rate: float, seeds: int) -> list[str]:
    """The cells of a row."""
    from dlexp.assemble.experiment import build_data
    from dlexp.config.compose import load
    from dlexp.config.files.catalog import Catalog
    from dlexp.diagnosis.data.label_measures import label_measures

    bundle = build_data(load([f"data={name}"], Catalog()))
    values: dict[str, list[float]] = {key: [] for key in ("at k", "precision", "recall", "rate", "sure", "seconds")}
    for seed in range(seeds):
        sick, wrong = planted(bundle, rate, seed)
        start = time.process_time()
        found = label_measures(sick, seed)
        values["seconds"].append(time.process_time() - start)
        assert found is not None and found.contradictions is not None
        seen = found.contradictions
        hits = [one.index in wrong for one in seen.suspects]
        first = hits[: len(wrong)]
        values["rate"].append(100 * seen.rate)
        values["sure"].append(100 * seen.sure / seen.samples)
        if wrong and hits:
            values["at k"].append(sum(first) / len(first))
            values["precision"].append(sum(hits) / len(hits))
            values["recall"].append(sum(hits) / len(wrong))
    return [name, f"{100 * rate:g} %", *(_range(values[key]) for key in values)]


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{sum(values) / len(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.2])
    parser.add_argument("--data", nargs="+", default=list(DATA))
    options = parser.parse_args()
    print("| data | planted | precision at k | precision | recall | estimate, % | sure, % | CPU seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.data:
        for rate in options.rates:
            print(f"| {' | '.join(measured(name, rate, options.seeds))} |", flush=True)


if __name__ == "__main__":
    main()
