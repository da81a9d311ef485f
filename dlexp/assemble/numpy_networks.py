"""Networks that compute in NumPy: their device, and what is refused with them before training."""

from __future__ import annotations

import torch
from torch import nn

from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, Problem
from dlexp.networks.outside_torch import computes_in_numpy
from dlexp.runtime.device import select_device

_ROOM = "dlexp.models.scratch."


def device_of(config: RunConfig) -> torch.device:
    """The device of a run: `auto` is the CPU for a network in NumPy. Raises ConfigError."""
    wanted = config.trainer.device
    return select_device("cpu" if wanted == "auto" and config.model.target.startswith(_ROOM) else wanted)


def refuse_beside_numpy(config: RunConfig, networks: nn.Module, device: torch.device) -> None:
    """Raise ConfigError with all settings that a network in NumPy cannot follow."""
    if not computes_in_numpy(networks):
        return
    trainer, who = config.trainer, f"model={config.model.option} computes in NumPy"
    problems = []

    def refuse(key: str, value: object, reason: str, remedy: str) -> None:
        rule = f"cannot be combined with a network in NumPy: {who}, {reason}"
        given = str(value).lower() if isinstance(value, bool) else str(value)
        problems.append(Problem(f"trainer.{key}", given, rule, remedy, code="cannot-combine"))

    if device.type != "cpu":
        refuse("device", trainer.device, "which runs on the CPU", "Set trainer.device=cpu")
    if trainer.precision in ("bf16", "fp16"):
        refuse("precision", trainer.precision, "which has no such numbers", "Set trainer.precision=fp32")
    if trainer.compile not in (False, "auto"):
        refuse("compile", trainer.compile, "which torch cannot compile", "Set trainer.compile=false")
    if problems:
        raise ConfigError(problems)
