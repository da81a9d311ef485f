"""Real samples of a run's data on the common scale, read in pieces.

Symbols: M samples, D numbers of a sample, B samples of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.loaders import EvalBatches
from dlexp.runtime.seed import order
from dlexp.specs import ClassSpec
from dlexp.types import as_tensor

_SIZE = 500
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class RealSamples:
    """Real samples in memory.

    Attributes:
        inputs: (M, *shape) float32 on the common scale.
        targets: (M,) class numbers; None without classes.
    """

    inputs: Tensor
    targets: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.inputs)


def read_real(bundle: DataBundle, split: str, most: int, seed: int) -> RealSamples:
    """At most so many samples of a split, in a random order if not all of them.

    Args:
        bundle: On the common scale.
        split: Its name.
        most: Samples at most.
        seed: Of the choice.
    """
    if most < len(bundle.splits[split]):
        bundle = bundle.with_split_subset(split, order(len(bundle.splits[split]), seed, 0)[:most])
    inputs, targets = [], []
    has_classes = isinstance(bundle.spec.targets, ClassSpec)
    for batch in EvalBatches(bundle, split, _SIZE, _CPU):
        inputs.append(as_tensor(batch.inputs).float())
        if has_classes:
            targets.append(as_tensor(batch.targets))
    return RealSamples(torch.cat(inputs), torch.cat(targets).numpy() if targets else None)


@dataclass(frozen=True)
class TrainingPieces:
    """All training samples on the common scale, (B, D) at a time, as often as they are iterated over."""

    bundle: DataBundle

    def __len__(self) -> int:
        return len(self.bundle.splits["train"])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for batch in EvalBatches(self.bundle, "train", _SIZE, _CPU):
            yield as_rows(as_tensor(batch.inputs))

    def images(self, positions: NDArray[np.int64]) -> Tensor:
        """(K, *shape) float32 of the samples at these positions."""
        few = self.bundle.with_split_subset("train", torch.from_numpy(positions))
        (batch,) = EvalBatches(few, "train", max(1, len(positions)), _CPU)
        return as_tensor(batch.inputs).float()


def as_rows(inputs: Tensor) -> NDArray[np.float32]:
    """(B, *shape) -> (B, D) float32."""
    found: NDArray[np.float32] = inputs.float().flatten(1).numpy()
    return found
