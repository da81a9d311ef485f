"""The number format of a step: fp32, or autocast to bf16 or fp16 with a gradient scaler where it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from dlexp.networks.arithmetic import Arithmetic

AUTO = "auto"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_TELLING = (("amx_bf16", "with AMX tiles"), ("avx512_bf16", "that multiplies bf16 (AVX-512)"))
# What convolutions need to gain from bf16 on a CPU: benchmarks/networks.py.
_LEAST_PER_SAMPLE = 1_000_000
_MOST_DEPTHWISE, _MOST_SMALL = 0.025, 0.4


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


def choose_precision(wanted: str, device: torch.device, arithmetic: Arithmetic) -> Precision:
    """The precision that `wanted` means on `device`.

    `auto` on a CPU is bf16 for convolutional networks where the CPU multiplies it and the network gains from it: with
    AMX tiles up to 2.8 times as fast as fp32, with AVX-512 BF16 1.6 times. Dense and small networks lose more to the
    conversions than they gain, and some convolutions are slower in bf16. See docs/explanation/performance.md.
    """
    if wanted != AUTO:
        return Precision(wanted, device.type, "as configured")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", "cuda", "this GPU computes bf16")
        return Precision("fp32", "cuda", "this GPU has no bf16 of its own")
    found = _cpu_capabilities() if device.type == "cpu" and arithmetic.convolutions else {}
    has = next((text for name, text in _TELLING if found.get(name, False)), "")
    if not has:
        return Precision("fp32", device.type, "no bf16 hardware that this network gains from")
    lost = _lost_in_bf16(arithmetic)
    return Precision("fp32", "cpu", lost) if lost else Precision("bf16", "cpu", f"convolutions, on a CPU {has}")


def _cpu_capabilities() -> Mapping[str, Any]:
    """Name of an instruction set -> whether the CPU has it."""
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    # torch 2.10 has no public word for it; every CPU with AMX multiplies bf16.
    return {"amx_bf16": torch.cpu._is_amx_tile_supported(), "avx512_bf16": torch.cpu._is_avx512_bf16_supported()}


def _lost_in_bf16(arithmetic: Arithmetic) -> str:
    """Why these convolutions are no faster in bf16 on a CPU, "" where they are."""
    small = arithmetic.share(arithmetic.small)
    if arithmetic.per_sample < _LEAST_PER_SAMPLE:
        return f"too small for bf16 to pay ({arithmetic.per_sample / 1e6:.2g} M multiply-adds a sample)"
    if arithmetic.share(arithmetic.depthwise) > _MOST_DEPTHWISE:
        return "depthwise convolutions are slower in bf16 on a CPU"
    if small > _MOST_SMALL:
        return f"{small:.0%} of the arithmetic is in maps below 4x4, where bf16 does not pay on a CPU"
    return ""
