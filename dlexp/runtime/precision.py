"""The number format of a step: fp32, or autocast to bf16 or fp16 with a gradient scaler where it is needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """How a step computes; `reason` says why `auto` chose it."""

    name: str
    device_type: str
    reason: str

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device_type, dtype=_DTYPES[self.name])

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that fp16 gradients do not vanish; does nothing in the other formats."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")
