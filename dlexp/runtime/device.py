"""Where the arithmetic runs."""

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
        remedy = "use auto, cpu, cuda, cuda:N or mps"
        raise ConfigError.one("trainer.device", name, "is no device", remedy, code="unknown-value") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        rule, remedy = "torch sees no CUDA device here", "use trainer.device=auto"
        raise ConfigError.one("trainer.device", name, rule, remedy, code="not-supported")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        rule = f"this machine has {count} CUDA devices, numbered from 0"
        raise ConfigError.one("trainer.device", name, rule, code="out-of-range")
    if device.type == "mps" and not torch.backends.mps.is_available():
        rule, remedy = "torch sees no Apple GPU here", "use trainer.device=auto"
        raise ConfigError.one("trainer.device", name, rule, remedy, code="not-supported")
    if device.type not in ("cpu", "cuda", "mps"):
        remedy = "use auto, cpu, cuda, cuda:N or mps"
        raise ConfigError.one("trainer.device", name, "is not supported", remedy, code="not-supported")
    return device


def set_deterministic(deterministic: bool) -> None:
    """Make torch refuse operations that may give other bits on a repeat; on the CPU the ones used here never do."""
    import os

    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic != torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic


@contextmanager
def flags_of_old() -> Iterator[None]:
    """Within it torch's exporters can read the cuDNN flags, which they ask for by a name that knows one value for all.

    Nothing is computed on a GPU there. The flags are put back after.
    """
    cudnn: Any = torch.backends.cudnn  # torch's own annotations have not heard of these
    kept = [(part, part.fp32_precision) for part in (cudnn.conv, cudnn.rnn)]
    for part, _ in kept:
        part.fp32_precision = "tf32"
    try:
        yield
    finally:
        for part, value in kept:
            part.fp32_precision = value
