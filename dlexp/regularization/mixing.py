"""MixUp, CutMix and random erasing of training batches.

All random numbers are functions of the seed and of the position: (epoch, row) for a sample, (epoch, attempt, batch) for
a batch, so that a resumed run draws the same numbers as an uninterrupted one.

Symbols: B samples of a batch, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log, sqrt

import torch
from torch import Tensor

from dlexp.runtime.seed import numbers, uniforms
from dlexp.types import Batch, Mixed, TrainingData, as_tensor

__all__ = ["BatchChanges", "ChangedBatches", "cut_mixed", "erased", "mixed_up"]

_AREA = (0.02, 1 / 3)  # area of an erased rectangle as a share of the image (Zhong et al. 2017, arXiv:1708.04896)
_ASPECT = (0.3, 1 / 0.3)  # its height over its width


@dataclass(frozen=True)
class BatchChanges:
    """Settings of MixUp, CutMix and random erasing.

    Attributes:
        mixup: Parameter of the Beta distribution of the weight of the first sample; 0: off.
        cutmix: The same for the area that the first image keeps; with both, each batch uses one of the two.
        probability: Probability in [0, 1] that a batch is mixed.
        erasing: Probability in [0, 1] that a rectangle of an image is erased.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    erasing: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.mixes or self.erasing)

    @property
    def mixes(self) -> bool:
        """True if samples are mixed with each other."""
        return bool((self.mixup or self.cutmix) and self.probability)


class ChangedBatches:
    """Training batches with MixUp, CutMix and random erasing.

    Args:
        source: The unchanged batches.
        changes: The settings.
        seed: Seed of the run.
    """

    def __init__(self, source: TrainingData, changes: BatchChanges, seed: int) -> None:
        self._source, self._changes, self._seed = source, changes, seed

    def __len__(self) -> int:
        return len(self._source)

    @property
    def num_samples(self) -> int:
        """Number of samples of an epoch."""
        return self._source.num_samples

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        """Yield the batches of `epoch` from number `first_batch` on."""
        changes = self._changes
        for number, batch in enumerate(self._source.epoch(epoch, first_batch, attempt), start=first_batch):
            if changes.erasing:
                inputs = erased(
                    as_tensor(batch.inputs), uniforms(self._seed, epoch, batch.indices, 5, "erase"), changes.erasing
                )
                batch = replace(batch, inputs=inputs)
            yield self._mixed(batch, (epoch, attempt, number)) if changes.mixes else batch

    def _mixed(self, batch: Batch, place: tuple[int, int, int]) -> Batch:
        changes = self._changes
        drawn = numbers(self._seed, "mix", *place)
        happens, which, row, column = drawn.random(4)
        if happens >= changes.probability or len(batch) < 2:
            return replace(batch, mixed=Mixed(as_tensor(batch.targets), 1.0))  # unchanged, in the form of the others
        if changes.mixup and (which < 0.5 or not changes.cutmix):
            return mixed_up(batch, float(drawn.beta(changes.mixup, changes.mixup)))
        return cut_mixed(batch, float(drawn.beta(changes.cutmix, changes.cutmix)), (float(row), float(column)))


def mixed_up(batch: Batch, share: float) -> Batch:
    """MixUp: share * sample + (1 - share) * the next sample of the batch (Zhang et al. 2018, arXiv:1710.09412).

    Since the order of an epoch is random, so are the pairs.
    """
    given = as_tensor(batch.inputs)
    inputs = torch.lerp(given.roll(-1, 0), given, share)
    return replace(batch, inputs=inputs, mixed=Mixed(as_tensor(batch.targets).roll(-1, 0), share))


def cut_mixed(batch: Batch, share: float, center: tuple[float, float]) -> Batch:
    """CutMix: replace a rectangle of each image by that of the next (Yun et al. 2019, arXiv:1905.04899).

    The weight of the own target is the share of the pixels that are kept.

    Args:
        batch: A batch with inputs (B, C, H, W).
        share: Area that is kept, before the rectangle is clipped at the borders, in [0, 1].
        center: Center of the rectangle, as shares of height and width in [0, 1).
    """
    given = as_tensor(batch.inputs)
    height, width = given.shape[2:]
    side = sqrt(1 - share)
    (top, bottom), (left, right) = (
        (max(0, middle - half), min(size, middle + half))
        for size, at in ((height, center[0]), (width, center[1]))
        for middle, half in [(int(at * size), int(size * side) // 2)]
    )
    inputs = given.clone()
    inputs[:, :, top:bottom, left:right] = given.roll(-1, 0)[:, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return replace(batch, inputs=inputs, mixed=Mixed(as_tensor(batch.targets).roll(-1, 0), kept))


def erased(images: Tensor, draws: Tensor, probability: float) -> Tensor:
    """Random erasing: set a rectangle of each image to zero, the mean of normalized images, with `probability`.

    The area is 2 to 33 % of the image, the height 0.3 to 3.3 times the width, as far as the image allows.

    Args:
        images: (B, C, H, W).
        draws: Uniform random numbers (B, 5) in [0, 1), which decide: whether, area, aspect ratio, row and column.
        probability: Probability in [0, 1] that an image is changed.

    Returns (B, C, H, W).
    """
    height, width = images.shape[2:]
    area = height * width * (_AREA[0] + (_AREA[1] - _AREA[0]) * draws[:, 1])
    aspect = torch.exp(log(_ASPECT[0]) + (log(_ASPECT[1]) - log(_ASPECT[0])) * draws[:, 2])
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (draws[:, 3] * (height - tall + 1)).floor()
    left = (draws[:, 4] * (width - wide + 1)).floor()
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    inside = (rows >= top[:, None]) & (rows < (top + tall)[:, None])  # (B, H)
    across = (columns >= left[:, None]) & (columns < (left + wide)[:, None])  # (B, W)
    gone = inside[:, None, :, None] & across[:, None, None, :] & (draws[:, 0] < probability)[:, None, None, None]
    return images.masked_fill(gone, 0.0)
