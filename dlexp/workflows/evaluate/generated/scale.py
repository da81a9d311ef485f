"""The numbers of a run's network as those that all runs on the same data share.

Symbols: B samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.preprocess import Affine, Preprocess
from dlexp.specs import ImageSpec


@dataclass(frozen=True)
class CommonScale:
    """Images as [-1, 1] from black to white, whatever range the run's task asks for; other samples as they are.

    So the same classifier sees samples of every run, and distances of two runs are in the same unit.

    Attributes:
        preprocess: The last step of the run before its network.
        white: Value of a white pixel in the source, None for data without one.
    """

    preprocess: Preprocess
    white: float | None

    @classmethod
    def of(cls, bundle: DataBundle) -> CommonScale:
        """That of a run's data."""
        white = bundle.preprocessing.get("white")
        is_known = isinstance(bundle.spec.inputs, ImageSpec) and isinstance(white, int | float) and white > 0
        return cls(bundle.preprocess, float(white) if is_known else None)  # type: ignore[arg-type]

    def source(self, inputs: Tensor) -> Tensor:
        """Numbers of the network (B, *shape) as those of the source; pixels are clipped to black and white."""
        found = inputs.float()
        if isinstance(self.preprocess, Affine):
            scale, shift = (part.to(found.device) for part in (self.preprocess.scale, self.preprocess.shift))
            found = (found - shift) / torch.where(scale == 0, 1.0, scale)
        return found if self.white is None else found.clamp(0, self.white)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Numbers of the network (B, *shape) as those that all runs share."""
        return inputs.float() if self.white is None else self.source(inputs) * (2 / self.white) - 1

    def applied(self, bundle: DataBundle) -> DataBundle:
        """The data on this scale, without random changes."""
        plain = replace(bundle, augment="none")
        if self.white is None or not isinstance(bundle.spec.inputs, ImageSpec):
            return plain
        spec = replace(bundle.spec, inputs=replace(bundle.spec.inputs, value_range=None, levels=None))
        return replace(plain, spec=spec, preprocess=Affine(torch.tensor(2 / self.white), torch.tensor(-1.0)))
