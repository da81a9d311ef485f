"""Ranges of pixels that generative tasks ask for: [0, 1] or [-1, 1] in place of mean 0 and deviation 1, and back.

Symbols: B samples of a batch, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.preprocess import Affine
from dlexp.specs import ImageSpec


def in_range(bundle: DataBundle, wanted: Sequence[float] | None) -> DataBundle:
    """`bundle` whose images reach the network in the range `wanted`, (lowest, highest), which its spec then says.

    Data without pixels of a known white, such as tables, are unchanged.
    """
    white = bundle.preprocessing.get("white")
    inputs = bundle.spec.inputs
    if wanted is None or not white or not isinstance(inputs, ImageSpec):
        return bundle
    low, high = map(float, wanted)
    scale, shift = torch.tensor((high - low) / white), torch.tensor(low)
    levels = int(white) + 1 if float(white).is_integer() and white > 1 else None
    spec = replace(bundle.spec, inputs=replace(inputs, value_range=(low, high), levels=levels))
    return replace(bundle, spec=spec, preprocess=Affine(scale, shift))


def to_shares(images: Tensor, spec: ImageSpec) -> Tensor:
    """Images of a network (B, channels, H, W) in the range of `spec`, as shares of white in [0, 1], clipped.

    Raises ValueError for a spec without a range.
    """
    if spec.value_range is None:
        raise ValueError("images without a range are normalized. Set _range_ in the file of the task.")
    low, high = spec.value_range
    return ((images - low) / (high - low)).clamp(0, 1)
