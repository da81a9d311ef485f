"""A step that ended a run, kept as a capsule, and `dlexp replay`: the same step once more."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import dlexp
from dlexp.artifacts.checkpoints.crash_capsule import find_capsule, read_capsule, write_capsule
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.saved import load_plain, plain
from dlexp.data.bundle import blank_bundle
from dlexp.engine.recovery import Failure
from dlexp.engine.snapshot import StepSnapshot
from dlexp.engine.step import step_phase
from dlexp.runtime.seed import kept_randomness, set_global_state
from dlexp.runtime.tensors import sha256
from dlexp.text.quoting import command
from dlexp.types import Batch, Field, Mixed, Sequences
from dlexp.workflows.data_record import spec_of


def capsule_writer(run: RunDir, experiment: Experiment) -> Callable[[Failure], str]:
    """Writes the capsule of a failure into the run's directory; returns the line that tells where it is."""

    def keep(failure: Failure) -> str:
        trust = [word for package in experiment.trusted for word in ("--trust", package)]
        content, facts = _content(experiment, failure), _facts(experiment, failure)
        path = write_capsule(run.path, content, facts, content["traceback"])
        name = os.path.relpath(path)
        return f"the step is kept in {name}; make it happen again with: {command('replay', Path(name), *trust)}"

    return keep


def replay(folder: Path, changes: Mapping[str, Any], trusted: Sequence[str]) -> dict[str, Any]:
    """Run the failing step of a capsule once more, and compare.

    folder   a run directory, or one of its crash directories
    changes  trainer.device, to replay somewhere else
    Returns what was kept, what came now, and what differs; the data set is not needed. Raises ConfigError when there
    is no capsule, DlexpError when it is damaged.
    """
    path = find_capsule(folder)
    content = read_capsule(path)
    config = load_plain(content["config"], changes)
    data = content["data"]
    experiment = assemble(config, trusted, blank_bundle(spec_of(data["spec"], config, trusted), data["samples"]))
    setup = prepare_training(experiment)
    state = setup.state
    state.load_state_dict(content["state"], allow_nonfinite=True)  # which may be why the step failed
    state.train_mode()
    micro_batches = [_batch(parts, experiment.device) for parts in content["micro_batches"]]
    taken, turn = StepSnapshot(state.networks), (content["phase"], content["repetition"])
    taken.begin_phase(*turn)
    rules = replace(setup.rules, check_every_step=True)
    error: Exception | None = None
    with kept_randomness():
        set_global_state(content["generators"])
        try:
            step_phase(experiment.task, state, micro_batches, rules, turn, taken)
        except Exception as caught:
            error = caught
    kept = {"error": content["error"], "stage": content["stage"], "losses": content["losses"]}
    now = {"error": _error(error), "stage": taken.stage, "losses": _texts(map(float, taken.losses))}
    surroundings = _surroundings(experiment)
    return {
        "capsule": str(path),
        "where": content["where"],
        "reproduced": _same(kept, now),
        "kept": kept,
        "now": now,
        "differences": {
            name: {"kept": value, "now": surroundings.get(name)}
            for name, value in content["surroundings"].items()
            if value != surroundings.get(name)
        },
        "traceback": content["traceback"],
    }


def _content(experiment: Experiment, failure: Failure) -> dict[str, Any]:
    """Everything that `replay` needs, as tensors and plain values."""
    return {
        "micro_batches": [_parts(batch) for batch in failure.micro_batches],
        "state": failure.state,
        "phase": failure.phase,
        "repetition": failure.repetition,
        "stage": failure.stage,
        "losses": _texts(failure.losses),
        "error": _error(failure.error),
        "traceback": _traceback(failure.error),
        "where": _where(failure),
        "generators": failure.generators,
        "torch_seed": failure.torch_seed,
        "config": plain(experiment.config),
        "data": {"spec": experiment.bundle.spec.to_plain(), "samples": experiment.bundle.sizes()},
        "surroundings": _surroundings(experiment),
    }


def _parts(batch: Batch) -> list[Any]:
    """A batch as tensors and, if it was mixed, the share of its first samples."""
    mixed = batch.mixed
    parts = [_stored(field) for field in (batch.inputs, batch.targets, batch.indices)]
    return [*parts, *([] if mixed is None else [_alone(mixed.targets), mixed.share])]


def _batch(parts: Sequence[Any], device: torch.device) -> Batch:
    """What `_parts` was given."""
    inputs, targets, indices = map(_read, parts[:3])
    batch = Batch(inputs, targets, indices, Mixed(parts[3], parts[4]) if len(parts) > 3 else None)
    return batch.to(device)


def _stored(field: Field | None) -> Any:
    """A field as tensors in plain containers, on the CPU."""
    if field is None or isinstance(field, torch.Tensor):
        return None if field is None else _alone(field)
    if isinstance(field, Sequences):
        return [_alone(field.values), _alone(field.lengths)]
    return {name: _alone(value) for name, value in field.items()}


def _read(stored: Any) -> Any:
    """The field that `_stored` was given."""
    return Sequences(*stored) if isinstance(stored, list) else stored


def _facts(experiment: Experiment, failure: Failure) -> dict[str, Any]:
    """What a person wants to know; the same failure of the same code and weights gives the same facts."""
    return {
        "error": _error(failure.error),
        "stage": failure.stage,
        **_where(failure),
        "losses": _texts(failure.losses),
        "indices": [batch.indices.tolist() for batch in failure.micro_batches],
        "weights_sha256": sha256(failure.state["networks"].values()),
        **_surroundings(experiment),
    }


def _where(failure: Failure) -> dict[str, Any]:
    """The place of the step; epoch, batch and update are counted from 1, as messages do."""
    return {
        "phase": failure.phase,
        "epoch": failure.epoch + 1,
        "batch": failure.batch + 1,
        "update": failure.step + 1,
        "learning_rate": failure.learning_rate,
    }


def _surroundings(experiment: Experiment) -> dict[str, Any]:
    """What may make the same step come out otherwise."""
    return {
        "dlexp": dlexp.__version__,
        "torch": str(torch.__version__),
        "device": str(experiment.device),
        "precision": experiment.precision.name,
        "threads": torch.get_num_threads(),
    }


def _error(error: Exception | None) -> dict[str, str] | None:
    return None if error is None else {"kind": type(error).__name__, "message": str(error)}


def _texts(losses: Iterable[float]) -> list[str]:
    """Numbers with every bit, as text: JSON has no NaN."""
    return [repr(loss) for loss in losses]


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU; a view would take all that it is a view of into the file."""
    return tensor.detach().to("cpu", copy=True)


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _same(kept: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Equal bits of every loss, NaN being equal to NaN, and the same exception at the same stage."""
    if (kept["losses"], kept["stage"]) != (now["losses"], now["stage"]):
        return False
    if kept["error"]["kind"] == "OutOfMemoryError" and now["error"]:  # its text tells what else was in memory
        return bool(now["error"]["kind"] == kept["error"]["kind"])
    return bool(kept["error"] == now["error"])
