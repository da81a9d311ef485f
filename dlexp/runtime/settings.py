"""Settings of how a run uses the machine, each with its reason and the key that overrides it.

Settings that must precede the import of torch are in `process`; those here depend on the configuration, the device and
the network. docs/explanation/performance.md has the measurements behind the defaults.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from dlexp.errors import ConfigError
from dlexp.networks.arithmetic import Arithmetic
from dlexp.networks.outside_torch import computes_in_numpy
from dlexp.runtime.compiler import spare_compiler
from dlexp.runtime.precision import AUTO, Precision, choose_precision
from dlexp.runtime.process import MachineSetting, available_cores, prepare_process

# Multiplications of a forward pass, parameters x batch, above which threads pay: benchmarks/machine/threads.py.
_SMALL_WORK = 20_000_000
STEP = "step"  # the mode in which the whole update is compiled, and not the networks
_EXPLAINED = ("threads", "precision")  # values whose reasons are shown at the start of a run
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_ATTENTION = (nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


class RequestedSettings(Protocol):
    """The settings of the user: the keys of `trainer` with these names."""

    @property
    def precision(self) -> str: ...
    @property
    def threads(self) -> int | str: ...
    @property
    def channels_last(self) -> bool | str: ...
    @property
    def compile(self) -> bool | str: ...
    @property
    def tf32(self) -> bool: ...
    @property
    def checkpoint_activations(self) -> bool: ...


@dataclass(frozen=True)
class NetworkFacts:
    """Properties of a network on which the settings depend.

    images      it has 2-d convolutions, for which channels_last is a memory format
    plain       it has neither convolutions nor attention nor recurrence, only dense layers and layers between them
    work        parameters x samples in a batch: the multiplications of a forward pass of dense layers
    arithmetic  multiply-adds of a forward pass
    in_numpy    it computes in NumPy
    """

    images: bool
    plain: bool
    work: int
    arithmetic: Arithmetic
    in_numpy: bool = False

    @classmethod
    def of(cls, networks: nn.Module, batch_size: int, arithmetic: Arithmetic) -> NetworkFacts:
        """The properties of `networks` with batches of `batch_size` samples."""
        modules = list(networks.modules())
        convolutions = any(isinstance(module, nn.modules.conv._ConvNd) for module in modules)
        # Only torch's own layers, or NumPy's in their place, count as plain; others may contain anything.
        own = ("torch.nn.modules", "torch.nn.parameter")
        known = all(type(m).__module__.startswith(own) or getattr(m, "computes_in_numpy", False) for m in modules)
        in_numpy = computes_in_numpy(networks)
        complex_ = any(isinstance(module, (*_RECURRENT, *_ATTENTION)) for module in modules)
        return cls(
            not in_numpy and any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in modules),
            known and not convolutions and not complex_,
            sum(p.numel() for p in networks.parameters()) * batch_size,
            arithmetic,
            in_numpy,
        )


@dataclass(frozen=True)
class Settings:
    """All settings for one network on one device.

    compile_mode  None for eager execution, step for one graph of the whole update, else a mode of torch.compile
    entries       these settings and those of the process, as text with reasons, in display order
    """

    threads: int
    precision: Precision
    channels_last: bool
    compile_mode: str | None
    tf32: bool
    checkpoint_activations: bool
    entries: tuple[MachineSetting, ...]

    def as_dict(self) -> dict[str, dict[str, str]]:
        """Name -> value, reason and override, as plain values."""
        return {entry.name: entry.as_dict() for entry in self.entries}

    def deciding_bits(self) -> dict[str, Any]:
        """The settings that affect the bits of a result, as plain values."""
        return {
            "threads": self.threads,
            "precision": self.precision.name,
            "channels_last": self.channels_last,
            "compile": self.compile_mode or "false",
            "tf32": self.tf32,
        }

    def summary(self) -> tuple[str, str]:
        """(the values in one line, the reasons for threads and precision in another)."""
        extras = {
            "channels_last": self.channels_last,
            f"compiled ({self.compile_mode})": self.compile_mode is not None,
            "TF32": self.tf32,
            "activations recomputed": self.checkpoint_activations,
        }
        words = [f"{self.threads} thread{'s' if self.threads > 1 else ''}", self.precision.name]
        words += [word for word, is_on in extras.items() if is_on]
        reasons = {entry.name: entry.reason for entry in self.entries}
        return ", ".join(words), "; ".join(
            f"{word}: {reasons[name]}" for word, name in zip(words, _EXPLAINED, strict=False)
        )


def decide(
    wanted: RequestedSettings,
    device: torch.device,
    facts: NetworkFacts,
    cores: int | None = None,
    of_data: tuple[MachineSetting, ...] = (),
) -> Settings:
    """Resolve the requested settings for a network on a device; `auto` selects the fastest measured value.

    Args:
        wanted: Settings of the user.
        device: Where the network runs.
        facts: Properties of the network.
        cores: Processor cores that this run may use; None for those available to the process.
        of_data: Settings of the data, to display with the others.

    Raises:
        ConfigError: A setting is not supported here.
    """
    threads = _threads(wanted.threads, device, facts, cores)
    precision = choose_precision(wanted.precision, device, facts.arithmetic)
    if facts.in_numpy and wanted.precision == AUTO:
        precision = Precision("fp32", device.type, "the network computes in NumPy")
    channels_last = _channels_last(wanted.channels_last, facts)
    mode, compiled = _compile(wanted.compile, device)
    if mode is not None and wanted.checkpoint_activations:
        rule = "cannot be combined with trainer.compile, which decides itself which activations to recompute"
        raise ConfigError.one(
            "trainer.checkpoint_activations", "true", rule, "Use one of the two.", code="cannot-combine"
        )
    tf32 = _tf32(wanted.tf32, device)
    recompute = MachineSetting(
        "checkpoint_activations",
        _text(wanted.checkpoint_activations),
        "as configured: recomputed in the backward pass"
        if wanted.checkpoint_activations
        else "stored: faster than a second forward pass",
        "trainer.checkpoint_activations",
    )
    return Settings(
        threads=int(threads.value),
        precision=precision,
        channels_last=channels_last.value == "true",
        compile_mode=mode,
        tf32=tf32.value == "true",
        checkpoint_activations=wanted.checkpoint_activations,
        entries=(
            MachineSetting("device", str(device), _DEVICE_REASONS.get(device.type, "as configured"), "trainer.device"),
            threads,
            MachineSetting("precision", precision.name, precision.reason, "trainer.precision"),
            channels_last,
            compiled,
            tf32,
            recompute,
            *of_data,
            *prepare_process(),
        ),
    )


_DEVICE_REASONS = {"cuda": "GPU found", "mps": "Apple GPU found", "cpu": "no GPU in use"}


def apply_settings(settings: Settings, networks: nn.ModuleDict) -> nn.ModuleDict:
    """Apply `settings` to this process and to the memory format of `networks`, without compiling.

    The returned networks have the same parameters under the same names.
    """
    spare_compiler()
    torch.set_num_threads(settings.threads)
    if computes_in_numpy(networks):
        threadpool_limits(settings.threads, user_api="blas")  # of NumPy, which has threads of its own
    kind = "tf32" if settings.tf32 else "ieee"
    cudnn: Any = torch.backends.cudnn  # torch's type annotations lack these attributes
    for products in (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn):
        products.fp32_precision = kind
    return networks.to(memory_format=torch.channels_last) if settings.channels_last else networks


def compile_networks(networks: nn.ModuleDict, mode: str, device: torch.device) -> None:
    """Compile the forward pass of every network, in place: `state_dict()` and the names in it stay as they are.

    Each batch shape is compiled separately (dynamic=False), so that results do not depend on the shapes compiled
    before, in this process or in the one of an interrupted run. Raises ConfigError if the compiler is not available.
    """
    refuse_without_compiler(device)
    for network in networks.values():
        network.compile(mode=mode, dynamic=False)


def refuse_without_compiler(device: torch.device) -> None:
    """Raise ConfigError without a C++ compiler, which torch.compile needs on a GPU too, for code on the CPU."""
    key, remedy = "trainer.compile", "Install it, or set trainer.compile=false"
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        rule = f"requires a C++ compiler; {name} not found"
        raise ConfigError.one(key, "true", rule, remedy, code="not-supported")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        rule = f"requires the headers of Python; {header} not found"
        raise ConfigError.one(key, "true", rule, remedy, code="not-supported")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        rule = "requires the package triton on a GPU"
        raise ConfigError.one(key, "true", rule, remedy, code="missing-package")


def _threads(wanted: int | str, device: torch.device, facts: NetworkFacts, cores: int | None) -> MachineSetting:
    name, key = "threads", "trainer.threads"
    if isinstance(wanted, int):
        return MachineSetting(name, str(wanted), "as configured", key)
    found, reason = (
        available_cores(os.environ) if cores is None else (cores, "the share of this trial in the cores of the study")
    )
    if found == 1 or reason.endswith("is set") or device.type != "cpu":
        return MachineSetting(name, str(found), reason, key)
    if facts.plain and facts.work < _SMALL_WORK:
        small = f"a small network of dense layers ({facts.work / 1e6:.2g} M multiplications per batch) "
        return MachineSetting(name, "1", f"{small}is faster with one thread", key)
    return MachineSetting(name, str(found), reason, key)


def _channels_last(wanted: bool | str, facts: NetworkFacts) -> MachineSetting:
    name, key = "channels_last", "trainer.channels_last"
    if wanted is True and not facts.images:
        rule, remedy = "has no effect without 2-d convolutions", "Set trainer.channels_last=auto"
        raise ConfigError.one(key, "true", rule, remedy, code="no-effect")
    if wanted != AUTO:
        return MachineSetting(name, _text(wanted), "as configured", key)
    if facts.images:
        return MachineSetting(name, "true", "2-d convolutions are faster in this format", key)
    return MachineSetting(name, "false", "no 2-d convolutions in this network", key)


def _compile(wanted: bool | str, device: torch.device) -> tuple[str | None, MachineSetting]:
    """(mode of torch.compile or None, the setting). Raises ConfigError for CUDA graphs without CUDA."""
    name, key = "compile", "trainer.compile"
    if wanted is False:
        return None, MachineSetting(
            name, "false", "as configured: compilation takes 15 to 30 s before the first update", key
        )
    if wanted == AUTO and device.type != "cuda":
        reason = f"on {device.type}, compiled steps were 0.7 to 1.0 times as fast, after 15 to 30 s of compilation"
        return None, MachineSetting(name, "false", reason, key)
    if wanted == "reduce-overhead" and device.type != "cuda":
        rule = f"requires a CUDA device, got {device}"
        raise ConfigError.one(key, wanted, rule, "Set trainer.compile=true", code="not-supported")
    if wanted == STEP:
        reason = "as configured: loss, gradient and update are one graph each time"
        return STEP, MachineSetting(name, STEP, reason, key)
    mode = "default" if wanted in (True, AUTO) else str(wanted)
    reason = "on a GPU fused kernels save memory traffic" if wanted == AUTO else "as configured"
    return mode, MachineSetting(name, mode, reason, key)


def _tf32(wanted: bool, device: torch.device) -> MachineSetting:
    name, key = "tf32", "trainer.tf32"
    if device.type != "cuda":
        return MachineSetting(name, "false", f"a format of NVIDIA GPUs, without effect on {device.type}", key)
    if wanted:
        return MachineSetting(name, "true", "as configured: fp32 products keep 10 of 23 bits of the mantissa", key)
    return MachineSetting(name, "false", "fp32 keeps all 23 bits of the mantissa; bf16 is the faster format", key)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
