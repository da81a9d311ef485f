"""The results of a profile as plain values, and its files: profile.json, profile.png, trace.json.gz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from dlexp.artifacts.checkpoints.checkpoint import checkpoint_bytes
from dlexp.artifacts.files.writing import write_bytes, write_json, write_text
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import TrainingSetup
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.config.schema.run import RunConfig
from dlexp.engine.profiling.probes import HOOKED, PARTS, Clock, MemoryProbe, Timer, Tracer, storage_of
from dlexp.engine.state import TrainState
from dlexp.text.time_format import now_utc
from dlexp.workflows.pictures import Pictures
from dlexp.workflows.profile.settings import ProfileRequest
from dlexp.workflows.run_record.write import experiment_facts

_OPERATORS = 12  # saved, those with the largest own time
_SHOWN_UPDATES = 60  # in the figure


@dataclass(frozen=True)
class Measured:
    """The gauges of all measurements.

    Attributes:
        first_update: Seconds of the first update, with one-time initialization.
        samples: Number of samples measured by `pace`.
        resident: Peak memory of the process in bytes, without tracing.
        validation_seconds: Of one evaluation of the whole split.
        flops: Floating-point operations of the products and convolutions of an update; 0 if none was counted.
        matrix_rate: (floating-point operations per second, N) of the fastest product of two N x N matrices.
    """

    first_update: float
    pace: Clock
    samples: int
    timer: Timer
    memory: MemoryProbe
    resident: int
    tracer: Tracer
    validation_seconds: float
    flops: int
    matrix_rate: tuple[float, int]


def profile_content(
    config: RunConfig, experiment: Experiment, setup: TrainingSetup, measured: Measured
) -> dict[str, Any]:
    """The content of profile.json without its path. Times in seconds, sizes in bytes, shares in [0, 1]."""
    update = measured.pace.seconds / len(measured.pace.updates)
    rate, size = measured.matrix_rate
    pace = measured.samples / measured.pace.seconds
    training = config.trainer.epochs * setup.batches.num_samples / pace
    validation = config.trainer.epochs * measured.validation_seconds
    return {
        **experiment_facts(experiment),
        "batch_size": config.batch_size,
        "accumulate": config.trainer.accumulate,
        "threads": torch.get_num_threads(),
        "updates_measured": len(measured.pace.updates),
        "update": {
            "seconds": update,
            "spread": _spread(measured.pace.updates),
            "first_seconds": measured.first_update,
            "samples_per_s": pace,
        },
        "parts": _parts(measured.timer.updates),
        **_operators(measured.tracer),
        "arithmetic": {
            "flops_per_update": measured.flops or None,
            "flops_per_s": measured.flops / update if measured.flops else None,
            "matrix_flops_per_s": rate,
            "matrix_size": size,
            "fraction": measured.flops / update / rate if measured.flops else None,
        },
        "memory": _memory(setup.state, measured, experiment.device),
        "run": {
            "epochs": config.trainer.epochs,
            "updates": setup.steps_per_epoch * config.trainer.epochs,
            "training_seconds": training,
            "validation_seconds": validation,
            "seconds": training + validation,
            "checkpoint_bytes": checkpoint_bytes(_state(setup.state), config.trainer.epochs),
        },
        "measured": now_utc(),
    }


def write_profile(
    config: RunConfig, request: ProfileRequest, content: Mapping[str, Any], measured: Measured
) -> dict[str, Any]:
    """Write the files to a new directory; returns the content with its path."""
    run = RunDir.create("profile", config.run_name, request.run_dir)
    with run.lock():
        write_text(run / "config.yaml", to_yaml(config))
        write_text(run / "overrides.yaml", overrides_to_yaml(list(request.overrides)))
        write_text(run / "command.txt", f"{request.command}\n# in {Path.cwd()}\n")
        write_bytes(run / "trace.json.gz", _trace(measured.tracer))
        shown = measured.timer.updates[-_SHOWN_UPDATES:]
        pictures = Pictures()
        pictures.write(run / "profile.png", lambda: _drawn(content, shown))
        content = {"folder": str(run.path), **content, **pictures.facts()}
        write_json(run / "profile.json", content)
    return content


def _drawn(content: Mapping[str, Any], updates: Sequence[Mapping[str, float]]) -> bytes:
    from dlexp.report.figures.profile import profile_png  # matplotlib loads when there is something to draw

    return profile_png(title_of(content), content["parts"], updates, content["operators"])


def title_of(content: Mapping[str, Any]) -> str:
    """The title of a profile: model, data, batch size and machine."""
    many = f" x {content['accumulate']}" if content["accumulate"] > 1 else ""
    threads = f", {content['threads']} thread{'s' * (content['threads'] > 1)}" if content["device"] == "cpu" else ""
    machine = f"{content['device']}{threads}, {content['precision']}"
    return f"{content['model']} on {content['data']}, batch {content['batch_size']}{many}, {machine}"


def _parts(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean seconds and share of each part of an update; batches may be prepared several at a time."""
    seconds = {part: fmean(row[part] for row in rows) for part in PARTS}
    whole = sum(seconds.values())
    return {part: {"seconds": value, "share": value / whole} for part, value in seconds.items()}


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = quantiles(values, n=10) if len(values) > 1 else [values[0]] * 9
    return {"median": median(values), "p10": ordered[0], "p90": ordered[-1]}


def _operators(tracer: Tracer) -> dict[str, Any]:
    """The operators with the largest own time per update, on the GPU if it was used."""
    events = [e for e in tracer.profiler.key_averages() if not e.is_user_annotation and e.key not in HOOKED]
    events = [
        e for e in events if not e.key.startswith(("Optimizer.", "ProfilerStep"))
    ]  # annotations that contain other operators
    where = "device" if any(e.self_device_time_total > 0 for e in events) else "cpu"

    def own(event: Any) -> float:
        return float(event.self_device_time_total if where == "device" else event.self_cpu_time_total)

    whole = sum(map(own, events)) or 1.0
    found = [
        {
            "name": event.key,
            "calls": event.count / tracer.updates,
            "self_cpu_seconds": event.self_cpu_time_total * 1e-6 / tracer.updates,
            "self_device_seconds": event.self_device_time_total * 1e-6 / tracer.updates,
            "share": own(event) / whole,
        }
        for event in sorted(events, key=own, reverse=True)[:_OPERATORS]
    ]
    return {"operators_on": where, "operators": found}


def _memory(state: TrainState, measured: Measured, device: torch.device) -> dict[str, Any]:
    """Memory of weights, gradients, optimizer state and saved activations, and the peak memory of the process."""
    optimizers = [value for o in state.optimizers.values() for slot in o.state.values() for value in slot.values()]
    parameters = list(state.networks.parameters())
    found: dict[str, Any] = {
        "weights": _bytes(state.networks.state_dict().values()),
        "gradients": sum(p.numel() * p.element_size() for p in parameters if p.requires_grad),
        "optimizer_state": _bytes(value for value in optimizers if isinstance(value, Tensor)),
        "kept_for_backward": measured.memory.kept,
        "peak_resident": measured.resident,
    }
    if device.type == "cuda":
        found["peak_allocated"] = dict(measured.memory.allocated)
        found["peak_reserved"] = torch.cuda.max_memory_reserved(device)
        found["device_total"] = torch.cuda.get_device_properties(device).total_memory
    return found


def _bytes(tensors: Any) -> int:
    """The memory of tensors in bytes; shared memory is counted once."""
    return sum(dict(storage_of(tensor) for tensor in tensors).values())


def _state(state: TrainState) -> dict[str, Any]:
    return {**state.state_dict(), "epoch_start": None}


def _trace(tracer: Tracer) -> bytes:
    """The trace for chrome://tracing and Perfetto, compressed."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json.gz"
        tracer.profiler.export_chrome_trace(str(path))
        return path.read_bytes()
