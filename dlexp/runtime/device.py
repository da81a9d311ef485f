"""Where the arithmetic runs."""

from __future__ import annotations

import torch

from dlexp.errors import ConfigError


def select_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the first GPU, else Apple's, else the CPU. Raises ConfigError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError.one("trainer.device", name, "is no device", "use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError.one("trainer.device", name, "torch sees no CUDA device here", "use trainer.device=auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError.one("trainer.device", name, f"this machine has {count} CUDA devices, numbered from 0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError.one("trainer.device", name, "torch sees no Apple GPU here", "use trainer.device=auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError.one("trainer.device", name, "is not supported", "use auto, cpu, cuda, cuda:N or mps")
    return device


def set_deterministic(deterministic: bool) -> None:
    """Make torch refuse operations that may give other bits on a repeat; on the CPU the ones used here never do."""
    import os

    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
