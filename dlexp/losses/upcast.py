"""The number format that losses are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def upcast(outputs: Tensor) -> Tensor:
    """Half precision, as autocast returns it, in float32; float32 and float64 as they are."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
