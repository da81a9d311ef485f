"""The number format of a step: fp32, or autocast to bf16 or fp16, with a gradient scaler for fp16."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from dlexp.networks.arithmetic import Arithmetic

AUTO = "auto"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BF16_FEATURES = (("amx_bf16", "with AMX tiles"), ("avx512_bf16", "that multiplies bf16 (AVX-512)"))
# Conditions under which convolutions are faster in bf16 on a CPU: benchmarks/machine/networks.py.
_LEAST_PER_SAMPLE = 1_000_000
_MOST_DEPTHWISE, _MOST_SMALL = 0.025, 0.4


@dataclass(frozen=True)
class Precision:
    """The number format of a step, with the reason for it."""

    name: str
    device_type: str
    reason: str

    def autocast(self) -> AbstractContextManager[object]:
        """The autocast context of a forward pass."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device_type, dtype=_DTYPES[self.name])

    def scaler(self) -> torch.amp.GradScaler:
        """The gradient scaler, which keeps fp16 gradients from underflow; disabled in other formats."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def choose_precision(wanted: str, device: torch.device, arithmetic: Arithmetic) -> Precision:
    """The precision for the setting `wanted` on `device`.

    `auto` on a CPU is bf16 for convolutional networks, if CPU and network are faster with it: up to 2.8 times as fast
    as fp32 with AMX tiles, 1.6 times with AVX-512 BF16 (docs/explanation/performance.md). Dense and small networks lose
    more to conversions than they gain, and some convolutions are slower in bf16.
    """
    if wanted != AUTO:
        return Precision(wanted, device.type, "as configured")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", "cuda", "supported by this GPU")
        return Precision("fp32", "cuda", "this GPU does not support bf16")
    found = _cpu_capabilities() if device.type == "cpu" and arithmetic.convolutions else {}
    has = next((text for name, text in _BF16_FEATURES if found.get(name, False)), "")
    if not has:
        return Precision("fp32", device.type, "no bf16 hardware that speeds up this network")
    obstacle = _bf16_obstacle(arithmetic)
    return Precision("fp32", "cpu", obstacle) if obstacle else Precision("bf16", "cpu", f"convolutions, on a CPU {has}")


def _cpu_capabilities() -> Mapping[str, Any]:
    """Name of an instruction set -> whether the CPU supports it."""
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    # torch 2.10 has no public function for it; every CPU with AMX supports bf16.
    return {"amx_bf16": torch.cpu._is_amx_tile_supported(), "avx512_bf16": torch.cpu._is_avx512_bf16_supported()}


def _bf16_obstacle(arithmetic: Arithmetic) -> str:
    """The reason why these convolutions are not faster in bf16 on a CPU, "" if they are."""
    small = arithmetic.share(arithmetic.small)
    if arithmetic.per_sample < _LEAST_PER_SAMPLE:
        return f"network too small for bf16 ({arithmetic.per_sample / 1e6:.2g} M multiply-adds per sample)"
    if arithmetic.share(arithmetic.depthwise) > _MOST_DEPTHWISE:
        return "depthwise convolutions are slower in bf16 on a CPU"
    if small > _MOST_SMALL:
        return f"{100 * small:.0f} % of the arithmetic is in feature maps below 4x4, where bf16 is slower on a CPU"
    return ""
