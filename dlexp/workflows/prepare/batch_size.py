"""`data.batch_size=auto`: the largest batch that fits in memory, measured in separate processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.assemble.numpy_networks import device_of
from dlexp.config.check.batch_size import is_auto
from dlexp.config.saved import plain_config
from dlexp.config.schema.run import RunConfig
from dlexp.config.typed import with_placeholder_rate, with_values
from dlexp.errors import ConfigError, DataError, Diverged, DlexpError, OutOfMemory, Problem
from dlexp.workflows.reporter import Reporter

FILE = "batch_size.json"


@dataclass(frozen=True)
class Try:
    """The result of one batch size, measured in a separate process.

    Attributes:
        peak: Peak memory in bytes; 0 if the process was killed.
        limit: The limit in bytes.
        bound: The origin of the limit.
        reason: Why it does not fit, "" if it does.
    """

    batch_size: int
    accumulate: int
    fits: bool
    peak: int
    limit: int
    bound: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class FoundBatch:
    """The batch sizes that were tried, in order, and the result."""

    effective_batch: int
    batch_size: int
    accumulate: int
    tries: tuple[Try, ...]

    def write(self, folder: Path) -> None:
        """Write batch_size.json to a run directory."""
        write_json(folder / FILE, asdict(self))


def resolve_batch_size(
    config: RunConfig, trusted: Sequence[str], reporter: Reporter, limit: int | None = None
) -> tuple[RunConfig, FoundBatch | None]:
    """`config` with data.batch_size=auto replaced by a number, and the trials, None if nothing was auto.

    Args:
        config: The configuration.
        trusted: Trusted packages.
        reporter: Receives the progress.
        limit: The memory that a run may use in bytes, None for a share of the available memory.

    Raises:
        OutOfMemory: Not even the smallest batch fits.
        ConfigError: The memory of the device is unknown.
    """
    if not is_auto(config.tree):
        return config, None
    device, effective = device_of(config), _effective(config)
    if device.type not in ("cpu", "cuda"):
        rule = f"is not supported on {device}, whose free memory is unknown"
        raise ConfigError.one("data.batch_size", "auto", rule, "Set data.batch_size to a number.", code="not-supported")
    reporter.say(f"data.batch_size=auto: measuring how many of the {effective} samples of an update fit in memory")
    tries: list[Try] = []

    def fits(size: int) -> bool:
        tries.append(_tried(with_batch(config, size), trusted, limit))
        _say(tries[-1], reporter)
        return tries[-1].fits

    size = largest(divisors(effective), fits)
    if size is None:
        last = tries[-1]
        text = f"data.batch_size=auto: not even a batch of {last.batch_size} fits in {_mib(last.limit)} ({last.reason})"
        raise OutOfMemory(f"{text}. Use a smaller model, or a smaller data.eval_batch_size if the evaluation failed.")
    found = FoundBatch(effective, size, effective // size, tuple(tries))
    reporter.say(f"selected data.batch_size={size} trainer.accumulate={found.accumulate}")
    return with_batch(config, size), found


def placeholder_batch_size(config: RunConfig) -> RunConfig:
    """`config` with data.batch_size=auto replaced by all samples of an update, to build it without measuring."""
    return with_batch(config, _effective(config)) if is_auto(config.tree) else config


def with_batch(config: RunConfig, size: int) -> RunConfig:
    """`config` with batches of `size`, accumulated to the same number of samples per update."""
    accumulate = _effective(config) // size
    values = {"data.batch_size": size, "trainer.accumulate": accumulate, "trainer.effective_batch": None}
    return with_values(config, values)


def divisors(count: int) -> list[int]:
    """All divisors of `count`, ascending."""
    small = [n for n in range(1, int(count**0.5) + 1) if count % n == 0]
    return sorted({*small, *(count // n for n in small)})


def largest(sizes: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of ascending `sizes` that fits, None if none does: the last first, then by bisection."""
    if fits(sizes[-1]):
        return sizes[-1]
    low, high = -1, len(sizes) - 1  # `low` fits, if it is not -1; `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        if fits(sizes[middle]):
            low = middle
        else:
            high = middle
    return sizes[low] if low >= 0 else None


def _effective(config: RunConfig) -> int:
    """The samples of an update, set when the configuration was checked."""
    effective = config.trainer.effective_batch
    assert effective is not None
    return effective


def _tried(config: RunConfig, trusted: Sequence[str], limit: int | None) -> Try:
    """Measure one configuration in a separate process. Raises its errors, except for out of memory."""
    begun = time.perf_counter()
    content = plain_config(with_placeholder_rate(config))
    ask = {"config": content, "trusted": list(trusted), "limit": limit, "threads": torch.get_num_threads()}
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ask.json").write_text(json.dumps(ask))
        argv = [sys.executable, "-P", "-m", "dlexp.workflows.prepare.batch_probe", name]
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
        answer = read_object(folder / "answer.json") if (folder / "answer.json").is_file() else {}
    if "error" in answer:
        raise _error(answer)
    if not answer and done.returncode >= 0:
        last = (done.stderr.decode(errors="replace").strip() or "without a message").splitlines()[-1]
        remedy = f"To see the traceback, use data.batch_size={config.batch_size}"
        raise DlexpError(f"data.batch_size=auto: training failed: {last}. {remedy}", code="failed")
    if not answer:  # killed by the system, which is out of memory
        killed = f"the process was killed by {signal.Signals(-done.returncode).name}"
        answer = {"fits": False, "peak": 0, "limit": limit or 0, "bound": "", "reason": killed}
    seconds = round(time.perf_counter() - begun, 3)
    return Try(config.batch_size, config.trainer.accumulate, **answer, seconds=seconds)


def _error(answer: dict[str, Any]) -> DlexpError:
    if "problems" in answer:
        return ConfigError([Problem(**problem) for problem in answer["problems"]])
    if answer["error"] == "Diverged":
        return Diverged(answer["message"])
    return (DataError if answer["error"] == "DataError" else DlexpError)(answer["message"], code=answer["code"])


def _say(one: Try, reporter: Reporter) -> None:
    verdict = "fits" if one.fits else f"does not fit: {one.reason}"
    reporter.say(
        f"  {one.batch_size} x {one.accumulate}: {_mib(one.peak)} of {_mib(one.limit)} ({one.bound}): {verdict}"
    )


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
