"""The parts of a sample that are left out together: pixels, columns of a table, positions of a sequence.

Symbols: B samples, S the shape of a sample, P parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parts:
    """A division of the values of a sample.

    Attributes:
        of_value: (*S,) int64: the number of the part that each value belongs to, from 0 to P - 1.
        count: P.
        kind: What a part is, in the singular: pixel, column or position.
    """

    of_value: Tensor
    count: int
    kind: str

    @classmethod
    def pixels(cls, channels: int, height: int, width: int) -> Parts:
        """A part for each pixel, with all its channels."""
        grid = torch.arange(height * width).view(1, height, width)
        return cls(grid.expand(channels, -1, -1).contiguous(), height * width, "pixel")

    @classmethod
    def columns(cls, widths: Sequence[int]) -> Parts:
        """A part for each column of a table, of as many features as `widths` says: one-hot features stay together."""
        numbers = torch.arange(len(widths))
        return cls(numbers.repeat_interleave(torch.tensor(list(widths))), len(widths), "column")

    @classmethod
    def positions(cls, shape: Sequence[int]) -> Parts:
        """A part for each position of a sequence (T, ...), with all its channels."""
        numbers = torch.arange(shape[0]).view(-1, *[1] * (len(shape) - 1))
        return cls(numbers.expand(*shape).contiguous(), shape[0], "position")

    def sums(self, attributions: Tensor) -> Tensor:
        """(B, *S) -> (B, P) float64: the sum of each part."""
        flat = attributions.flatten(1).double()
        index = self.of_value.flatten().to(flat.device).expand_as(flat)
        total = torch.zeros(len(flat), self.count, dtype=flat.dtype, device=flat.device)
        return total.scatter_add(1, index, flat)

    def spread(self, values: Tensor) -> Tensor:
        """(B, P) -> (B, *S): each value of a part has an equal share of it."""
        sizes = torch.bincount(self.of_value.flatten(), minlength=self.count).clamp(min=1).to(values)
        where = self.of_value.to(values.device)
        found: Tensor = (values / sizes)[:, where.flatten()].unflatten(1, where.shape)
        return found

    def kept(self, parts: Tensor, values: Tensor, baseline: Tensor) -> Tensor:
        """(N, *S): `values` where `parts` (N, P) bool is true, `baseline` elsewhere."""
        where = self.of_value.to(values.device)
        mask = parts[:, where.flatten()].unflatten(1, where.shape)
        return torch.where(mask, values, baseline)
