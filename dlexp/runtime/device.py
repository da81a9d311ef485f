"""The compute device, and its global flags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dlexp.errors import ConfigError


def select_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the first GPU, else Apple's, else the CPU. Raises ConfigError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        remedy = "Use auto, cpu, cuda, cuda:N or mps."
        raise ConfigError.one("trainer.device", name, "unknown device", remedy, code="unknown-value") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        rule, remedy = "no CUDA device found", "Set trainer.device=auto"
        raise ConfigError.one("trainer.device", name, rule, remedy, code="not-supported")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        rule = f"must be cuda:0 to cuda:{count - 1}; this machine has {count} CUDA devices"
        raise ConfigError.one("trainer.device", name, rule, code="out-of-range")
    if device.type == "mps" and not torch.backends.mps.is_available():
        rule, remedy = "no Apple GPU found", "Set trainer.device=auto"
        raise ConfigError.one("trainer.device", name, rule, remedy, code="not-supported")
    if device.type not in ("cpu", "cuda", "mps"):
        remedy = "Use auto, cpu, cuda, cuda:N or mps."
        raise ConfigError.one("trainer.device", name, "device not supported", remedy, code="not-supported")
    return device


def set_deterministic(deterministic: bool) -> None:
    """Make torch reject operations whose repeats may differ in bits; the CPU operations used here do not."""
    import os

    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic != torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic


@contextmanager
def readable_cudnn_flags() -> Iterator[None]:
    """Set all cuDNN precision flags to one value during the body, which torch's exporters require, and restore them.

    Nothing may be computed on a GPU in the body.
    """
    cudnn: Any = torch.backends.cudnn  # torch's type annotations lack these attributes
    saved = [(part, part.fp32_precision) for part in (cudnn.conv, cudnn.rnn)]
    for part, _ in saved:
        part.fp32_precision = "tf32"
    try:
        yield
    finally:
        for part, value in saved:
            part.fp32_precision = value
