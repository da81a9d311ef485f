"""The dtype of loss computations."""

from __future__ import annotations

import torch
from torch import Tensor


def upcast(outputs: Tensor) -> Tensor:
    """Convert half-precision outputs, as from autocast, to float32; float32 and float64 are unchanged."""
    if outputs.dtype == torch.float32:  # the usual case, before every loss
        return outputs
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
