"""One trial of `data.batch_size=auto` in a separate process: the memory of two updates and an evaluation.

`python -m dlexp.workflows.prepare.batch_probe FOLDER` reads ask.json in FOLDER and writes answer.json.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.assemble.numpy_networks import device_of
from dlexp.assemble.training import prepare_training
from dlexp.config.saved import load_plain
from dlexp.config.schema.run import RunConfig
from dlexp.engine.loop import fit
from dlexp.engine.profiling.instrumentation import FirstBatches, LimitedBatches
from dlexp.engine.profiling.probes import Clock
from dlexp.errors import ConfigError, Diverged, DlexpError
from dlexp.runtime.memory_budget import bound_allocations, peak, room
from dlexp.runtime.out_of_memory import is_out_of_memory
from dlexp.runtime.signals import NeverStop
from dlexp.runtime.tensors import snapshot
from dlexp.workflows.prepare.initial_weights import prepared

_UPDATES = 2  # optimizers allocate their state in the first
_VALIDATION = 2  # batches: all but the last have the same size


def main() -> None:
    """Run the trial described in the directory named on the command line."""
    folder = Path(sys.argv[1])
    ask = read_object(folder / "ask.json")
    torch.set_num_threads(ask["threads"])
    write_json(folder / "answer.json", probe(load_plain(ask["config"], {}), tuple(ask["trusted"]), ask["limit"]))


def probe(config: RunConfig, trusted: tuple[str, ...], given: int | None) -> dict[str, Any]:
    """Return whether `config` fits in memory: the fields of a `Try`, or the error that was raised.

    Args:
        config: The configuration.
        trusted: Trusted packages.
        given: The limit in bytes, None for the memory of this machine.
    """
    try:
        device = device_of(config)
        limit, bound = (given, "the limit given") if given is not None else room(device)
        if device.type == "cpu":
            bound_allocations(limit)
        reason = _reason_not_to(config, trusted)
        most = peak(device)
    except ConfigError as error:
        return {"error": type(error).__name__, "problems": [vars(problem) for problem in error.problems]}
    except DlexpError as error:
        what = error.what if isinstance(error, Diverged) else str(error)
        return {"error": type(error).__name__, "code": error.code, "message": what}
    if not reason and most > limit:
        reason = "more than the limit"
    return {"fits": not reason, "peak": most, "limit": limit, "bound": bound, "reason": reason}


def _reason_not_to(config: RunConfig, trusted: tuple[str, ...]) -> str:
    """Train for two updates, evaluate and copy the state; "" if memory was sufficient, otherwise where it ran out."""
    try:
        experiment = prepared(config, trusted)
        setup = prepare_training(experiment)
        data = LimitedBatches(setup.batches, Clock(experiment.device), _UPDATES, config.trainer.accumulate)
        plan = replace(
            setup.plan(),
            train=data,
            val=FirstBatches(experiment.split("val"), _VALIDATION, Clock(experiment.device)),
            epochs=-(-_UPDATES // setup.steps_per_epoch),
            save_every_steps=None,
        )
        fit(plan, setup.state, _InMemory(), _UntilOrphaned())
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


class _InMemory:
    """Checkpoints that allocate the memory of saving, a copy and the bytes of a file, and are discarded."""

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Allocate as a run does; the best weights are those of the state and require no more memory."""
        torch.save(snapshot(state), io.BytesIO())


class _UntilOrphaned(NeverStop):
    """A stop request that is true once the parent process has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._parent = os.getppid()

    def __bool__(self) -> bool:
        return os.getppid() != self._parent


if __name__ == "__main__":
    main()
