"""The workflow `dlexp profile`: time and memory of the parts of an update, and the cost of the whole run.

It has no training loop: `fit` runs a few updates at a time, each time with another probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from dlexp.artifacts.files.new_folder import refuse_occupied
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.config.schema.run import RunConfig
from dlexp.config.typed import with_placeholder_rate, with_values
from dlexp.engine.loop import EpochRecord, StepRecord, fit, group_batches
from dlexp.engine.profiling.instrumentation import FirstBatches, LimitedBatches, instrument
from dlexp.engine.profiling.probes import Clock, MemoryProbe, Probe, Timer, Tracer, waiting
from dlexp.engine.step import train_step
from dlexp.errors import Interrupted
from dlexp.networks.multiply_adds import counted_products
from dlexp.runtime.matmul_rate import matrix_rate
from dlexp.runtime.memory_budget import peak
from dlexp.runtime.seed import kept_randomness
from dlexp.runtime.signals import StopRequest
from dlexp.workflows.prepare.batch_size import resolve_batch_size
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.profile.result import Measured, profile_content, write_profile
from dlexp.workflows.profile.settings import WARM_UP, ProfileRequest
from dlexp.workflows.reporter import Reporter

_SECONDS = 4.0  # target duration of a measurement
_MIN_UPDATES, _MAX_UPDATES = 8, 2000  # per measurement, without --steps
_WITH_MEMORY, _TRACED = 2, 3  # updates, which all allocate and call the same
_ENDLESS = 10**6  # epochs
_VALIDATION = 32  # batches of the validation split that are timed

_TYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class _Bench:
    """The shared state of all measurements."""

    experiment: Experiment
    setup: TrainingSetup
    stop: StopRequest


def profile(config: RunConfig, request: ProfileRequest, reporter: Reporter) -> dict[str, Any]:
    """Measure and write profile.json, profile.png and trace.json.gz; returns the content of the JSON file.

    data.batch_size=auto is resolved, optim.lr=auto is not. Raises Diverged, OutOfMemory and Interrupted as training.
    """
    if request.run_dir is not None:
        refuse_occupied(request.run_dir)
    config, _ = resolve_batch_size(config, request.trusted, reporter)
    with kept_randomness(), StopRequest() as stop:
        experiment = prepared(_endless(with_placeholder_rate(config)), request.trusted)
        bench = _Bench(experiment, prepare_training(experiment), stop)
        measured = _measured(bench, request.steps, reporter)
        if stop:  # between two measurements
            raise _dropped(stop)
    content = profile_content(config, experiment, bench.setup, measured)
    return write_profile(config, request, content, measured)  # a directory is made when there is something to put in


def _measured(bench: _Bench, steps: int | None, reporter: Reporter) -> Measured:
    """All measurements in turn."""
    experiment, device = bench.experiment, bench.experiment.device
    warm = Clock(device)
    _leg(bench, warm, WARM_UP)
    count = steps or _enough(min(warm.updates), bench.setup.steps_per_epoch)
    reporter.say(f"measuring {count} updates twice, as a whole and part by part")
    pace, timer, memory, tracer = Clock(device), Timer(device), MemoryProbe(bench.setup.state, device), Tracer(device)
    validation = FirstBatches(experiment.split("val"), _VALIDATION, Clock(device))
    given = _leg(bench, pace, count, validation)
    _leg(bench, timer, count)
    _leg(bench, memory, _WITH_MEMORY)
    resident = peak(torch.device("cpu"))
    reporter.say(f"tracing {_TRACED} updates, and measuring the matrix rate")
    try:
        _leg(bench, tracer, min(_TRACED, bench.setup.steps_per_epoch))
    finally:
        tracer.end()
    dtype = _TYPES[experiment.precision.name]
    return Measured(
        first_update=warm.updates[0],
        pace=pace,
        samples=given.samples,
        timer=timer,
        memory=memory,
        resident=resident,
        tracer=tracer,
        validation_seconds=validation.seconds_of_all,
        flops=_flops(bench),
        matrix_rate=matrix_rate(device, dtype, waiting(device)),
    )


def _leg(bench: _Bench, probe: Probe, updates: int, validation: FirstBatches | None = None) -> LimitedBatches:
    """Run `updates` more updates with `fit`, measured by `probe`."""
    experiment, setup, state = bench.experiment, bench.setup, bench.setup.state
    accumulate = experiment.config.trainer.accumulate
    data = LimitedBatches(setup.batches, probe, updates, accumulate)
    few = validation or FirstBatches(experiment.split("val"), 1, Clock(experiment.device))

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord):
            probe.end_update()
        else:
            few.clock.end()

    with instrument(experiment.task, setup.rules, state, probe) as (task, rules):
        plan = replace(
            setup.plan([observe]),
            task=task,
            train=data,
            val=few,
            rules=rules,
            epochs=state.epoch + -(-updates // setup.steps_per_epoch),
            save_every_steps=None,
        )
        try:
            fit(plan, state, _Nowhere(), bench.stop)
        except Interrupted as error:  # its message mentions a checkpoint
            raise _dropped(bench.stop) from error
    return data


class _Nowhere:
    """Checkpoints that are not saved."""

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Save nothing."""


def _dropped(stop: StopRequest) -> Interrupted:
    return Interrupted(f"{stop.name} received; the profile was discarded", stop.exit_code)


def _flops(bench: _Bench) -> int:
    """Floating point operations of one update's products and convolutions, forward and backward; 0 if none is seen."""
    experiment, setup = bench.experiment, bench.setup
    micro_batches = next(group_batches(setup.batches.epoch(0), experiment.config.trainer.accumulate))
    with counted_products() as counter:
        train_step(experiment.task, setup.state, micro_batches, setup.rules)
    return 2 * counter.multiply_adds


def _enough(seconds: float, per_epoch: int) -> int:
    """The number of updates that take a few seconds; whole epochs if these are short, since batches are prefetched."""
    count = max(_MIN_UPDATES, min(_MAX_UPDATES, round(_SECONDS / max(seconds, 1e-9))))
    return count // per_epoch * per_epoch if count > per_epoch else count


def _endless(config: RunConfig) -> RunConfig:
    """`config` without an end: neither a last epoch nor early stopping is reached."""
    return with_values(config, {"trainer.epochs": _ENDLESS, "regularization.early_stopping.patience": None})
