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


def choose_precision(wanted: str, device: torch.device, has_convolutions: bool) -> Precision:
    """The precision that `wanted` means on `device`.

    `auto` on a CPU is bf16 for convolutional networks where the CPU has AMX tiles, which multiply bf16 several times
    faster than fp32; a small fully connected network loses more to the conversions than it gains.
    """
    if wanted != "auto":
        return Precision(wanted, device.type, "as configured")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", "cuda", "this GPU computes bf16")
        return Precision("fp32", "cuda", "this GPU has no bf16 of its own")
    if device.type == "cpu" and has_convolutions and torch.cpu.get_capabilities().get("amx_bf16", False):
        return Precision("bf16", "cpu", "convolutions, on a CPU with AMX tiles")
    return Precision("fp32", device.type, "no bf16 hardware that this network gains from")
