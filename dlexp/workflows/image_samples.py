"""Samples that are images, as pixels to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.assemble.experiment import Experiment
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.networks.modes import evaluation_mode
from dlexp.specs import ImageSpec
from dlexp.tasks.generative.images import ImageTask
from dlexp.types import Batch

_DARK = 0.25  # largest value of images that are drawn brighter, such as levels up to 16 in bytes


def has_pictures(bundle: DataBundle) -> bool:
    """True where the samples are images of one or three channels."""
    inputs = bundle.spec.inputs
    return isinstance(inputs, ImageSpec) and inputs.channels in (1, 3)


def images_of(bundle: DataBundle, split: str, positions: Sequence[int]) -> Any:
    """Images (K, C, H, W) in [0, 1], before normalization; brightened together where all are nearly black."""
    inputs = tensor_of(bundle.splits[split].select(torch.tensor(positions)).inputs).double()
    white = bundle.preprocessing.get("white")
    if white is None or not math.isfinite(white) or white <= 0:
        low, high = inputs.amin(dim=(1, 2, 3), keepdim=True), inputs.amax(dim=(1, 2, 3), keepdim=True)
        apart = high - low
        return ((inputs - low) / torch.where(apart > 0, apart, 1.0)).numpy()
    images = inputs / white
    brightest = float(images.max()) if images.numel() else 1.0
    return (images / brightest if 0 < brightest < _DARK else images).numpy()


def versions_of(experiment: Experiment, batch: Batch) -> dict[str, NDArray[np.float64]]:
    """Name -> images (B, C, H, W) in [0, 1]: what a task of images makes of a batch, and what it shows beside it."""
    task, networks = experiment.task, experiment.networks
    assert isinstance(task, ImageTask)
    with torch.no_grad(), evaluation_mode(networks), experiment.precision.autocast():
        found = task.versions(dict(networks.items()), batch)
    return {name: images.double().cpu().numpy() for name, images in found.items()}
