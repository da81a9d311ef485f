"""Time of an epoch with batches of similar lengths against plain padding, on lengths drawn log-normally.

    python -m benchmarks.data.buckets --repeats 5

Both train the same LSTM on the same samples; the order alone differs. Epochs alternate, so that a busy machine slows
both. Prints the ratio of the times (median and range), and the positions that are computed for each that is needed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from torch import nn

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import Dense, Ragged
from dlexp.data.loaders import TrainBatches
from dlexp.data.preprocess import Identity
from dlexp.models.recurrent.builders import lstm
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, DataSpec
from dlexp.types import Sequences

CPU = torch.device("cpu")
VOCABULARY = 1000


def data(count: int, seed: int = 0) -> DataBundle:
    """Random tokens in sequences whose lengths are log-normal: median 40, deviation 0.7 of the logarithm."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(40), 0.7, count).astype(np.int64), 2, 512)
    offsets = torch.from_numpy(np.concatenate([[0], lengths.cumsum()]))
    column = Ragged(torch.from_numpy(rng.integers(3, VOCABULARY, int(lengths.sum()))), offsets)
    split = Split(column, Dense(torch.from_numpy(rng.integers(0, 2, count))), torch.arange(count))
    spec = DataSpec(TokenSpec(VOCABULARY, 512), ClassSpec(("a", "b")))
    return DataBundle(spec, dict.fromkeys(("train", "val", "test"), split), Identity(), "", {}, bucket=True)


def epoch_time(network: nn.Module, batches: TrainBatches, epoch: int) -> tuple[float, int]:
    """Seconds of an epoch of updates, and the positions that were computed."""
    optimizer, positions = torch.optim.SGD(network.parameters(), lr=0.01), 0
    begun = time.process_time()
    for batch in batches.epoch(epoch):
        assert isinstance(batch.inputs, Sequences) and isinstance(batch.targets, torch.Tensor)
        optimizer.zero_grad()
        outputs = network(batch.inputs.values, batch.inputs.lengths)
        nn.functional.cross_entropy(outputs, batch.targets).backward()
        optimizer.step()
        positions += batch.inputs.values.numel()
    return time.process_time() - begun, positions


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--batch-size", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    bundle = data(asked.samples)
    network = lstm(vocabulary_size=VOCABULARY, num_outputs=2)
    kinds = {name: TrainBatches(replace(bundle, bucket=name == "buckets"), asked.batch_size, 0, CPU)
             for name in ("padding", "buckets")}  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    positions = dict.fromkeys(kinds, 0)
    for epoch in range(asked.repeats + 1):
        for name, batches in kinds.items():
            taken, positions[name] = epoch_time(network, batches, epoch)
            if epoch:  # the first one is a warm-up
                seconds[name].append(taken)
    needed = int(bundle.splits["train"].inputs.values.numel())  # type: ignore[attr-defined]
    ratios = [bucket / plain for bucket, plain in zip(seconds["buckets"], seconds["padding"], strict=True)]
    for name in kinds:
        computed = f"{positions[name] / needed:.2f} positions for one needed"
        print(f"{name}: {median(seconds[name]):.2f} s of CPU an epoch, {computed}")
    spread = f"({min(ratios):.3f} to {max(ratios):.3f}), n={len(ratios)}"
    print(f"time with buckets / plain padding: {median(ratios):.3f} {spread}")


if __name__ == "__main__":
    main()
