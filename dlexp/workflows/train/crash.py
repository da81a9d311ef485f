"""Crash capsules of failed training steps, and the workflow `dlexp replay`, which repeats such a step."""

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
from dlexp.config.saved import load_plain, plain_config
from dlexp.data.bundle import blank_bundle
from dlexp.engine.recovery import Failure
from dlexp.engine.snapshot import StepSnapshot
from dlexp.engine.step import step_phase
from dlexp.runtime.seed import kept_randomness, set_global_state
from dlexp.runtime.tensors import sha256
from dlexp.text.quoting import command
from dlexp.types import Batch, Field, Mixed, Sequences
from dlexp.workflows.run_record.data import spec_of


def capsule_writer(run: RunDir, experiment: Experiment) -> Callable[[Failure], str]:
    """A function that writes the capsule of a failure to the run directory and returns a message with its path."""

    def keep(failure: Failure) -> str:
        trust = [word for package in experiment.trusted for word in ("--trust", package)]
        content, facts = _content(experiment, failure), _facts(experiment, failure)
        path = write_capsule(run.path, content, facts, content["traceback"])
        name = os.path.relpath(path)
        return f"the failed step is saved in {name}. Repeat it with {command('replay', Path(name), *trust)}"

    return keep


def replay(folder: Path, changes: Mapping[str, Any], trusted: Sequence[str]) -> dict[str, Any]:
    """Repeat the failed step of a capsule and compare the outcome; the data set is not needed.

    Args:
        folder: A run directory or one of its crash directories.
        changes: trainer.device, to replay on another device.
        trusted: Trusted packages.

    Returns:
        The original outcome, the new one, and the differences of the environment.

    Raises:
        ConfigError: There is no capsule.
        DlexpError: The capsule is corrupted.
    """
    path = find_capsule(folder)
    content = read_capsule(path)
    config = load_plain(content["config"], changes)
    data = content["data"]
    experiment = assemble(config, trusted, blank_bundle(spec_of(data["spec"], config, trusted), data["samples"]))
    setup = prepare_training(experiment)
    state = setup.state
    state.load_state_dict(content["state"], allow_nonfinite=True)  # possibly the cause of the failure
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
    environment = _environment(experiment)
    return {
        "capsule": str(path),
        "where": content["where"],
        "reproduced": _same(kept, now),
        "kept": kept,
        "now": now,
        "differences": {
            name: {"kept": value, "now": environment.get(name)}
            for name, value in content["environment"].items()
            if value != environment.get(name)
        },
        "traceback": content["traceback"],
    }


def _content(experiment: Experiment, failure: Failure) -> dict[str, Any]:
    """The content of a capsule, as tensors and plain values."""
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
        "config": plain_config(experiment.config),
        "data": {"spec": experiment.bundle.spec.to_plain(), "samples": experiment.bundle.sizes()},
        "environment": _environment(experiment),
    }


def _parts(batch: Batch) -> list[Any]:
    """A batch as tensors and, if it is mixed, the share of its first samples."""
    mixed = batch.mixed
    parts = [_stored(field) for field in (batch.inputs, batch.targets, batch.indices)]
    return [*parts, *([] if mixed is None else [_alone(mixed.targets), mixed.share])]


def _batch(parts: Sequence[Any], device: torch.device) -> Batch:
    """The batch from its `_parts`."""
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
    """The content of crash.json; equal for equal failures of the same code and weights."""
    return {
        "error": _error(failure.error),
        "stage": failure.stage,
        **_where(failure),
        "losses": _texts(failure.losses),
        "indices": [batch.indices.tolist() for batch in failure.micro_batches],
        "weights_sha256": sha256(failure.state["networks"].values()),
        **_environment(experiment),
    }


def _where(failure: Failure) -> dict[str, Any]:
    """The position of the step; epoch, batch and update are counted from 1, as in messages."""
    return {
        "phase": failure.phase,
        "epoch": failure.epoch + 1,
        "batch": failure.batch + 1,
        "update": failure.step + 1,
        "learning_rate": failure.learning_rate,
    }


def _environment(experiment: Experiment) -> dict[str, Any]:
    """Versions and settings that may change the outcome of the step."""
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
    """Numbers as exact text, since JSON has no NaN."""
    return [repr(loss) for loss in losses]


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU; a view would save its whole base tensor."""
    return tensor.detach().to("cpu", copy=True)


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _same(kept: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether all losses are bit-identical, NaN included, with the same exception at the same stage."""
    if (kept["losses"], kept["stage"]) != (now["losses"], now["stage"]):
        return False
    if (
        kept["error"]["kind"] == "OutOfMemoryError" and now["error"]
    ):  # its text depends on the other contents of the memory
        return bool(now["error"]["kind"] == kept["error"]["kind"])
    return bool(kept["error"] == now["error"])
