"""The number format that losses are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(outputs: Tensor) -> Tensor:
    """Half precision, as autocast puts it out, becomes float32; float32 and float64 stay as they are."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
