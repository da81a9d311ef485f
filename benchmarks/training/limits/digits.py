"""The limits of row (a), an MLP on the digits.

Symbols: N samples, B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.harness.turns import Turns
from benchmarks.training.limits.loop import Work, keep_memory, train


def digits(turns: Turns, regular: bool, direct: bool = False, batch: int = 64) -> None:
    """Row (a): MLP 64-128-64-10; with batch normalization and dropout when `regular`."""
    keep_memory()
    x, y, val = digits_data()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(y))
        return zip(x[order].split(batch), y[order].split(batch), strict=True)

    turns.know(dtype="fp32")
    train(turns, Work(perceptron(regular), batches, -(-len(y) // batch), val, direct=direct))


def digits_data() -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """The split that dlexp trains on: inputs (N, 64) float32, classes (N,), and the same of its validation split."""
    from dlexp.data.columns import tensor_of
    from dlexp.data.sources.sklearn_sets import digits as data
    from dlexp.types import as_tensor

    bundle = data(augment="none")
    chosen = (bundle.splits[name] for name in ("train", "val"))
    (x, y), val = (
        (as_tensor(bundle.preprocess(tensor_of(split.inputs))).flatten(1), tensor_of(split.targets)) for split in chosen
    )
    return x, y, val


def perceptron(regular: bool) -> nn.Sequential:
    """The network of row (a): (B, 64) -> (B, 10)."""
    layers: list[nn.Module] = []
    for before, after in ((64, 128), (128, 64)):
        layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if regular else []), nn.ReLU()]
        layers += [nn.Dropout(0.2)] if regular else []
    return nn.Sequential(*layers, nn.Linear(64, 10))
