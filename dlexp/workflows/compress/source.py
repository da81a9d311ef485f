"""The run that is compressed: its network, evaluated and measured once for all strengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.assemble.compression import refuse_onnx
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.saved import load_saved
from dlexp.engine.evaluate import Evaluation, evaluate
from dlexp.runtime.tensors import sha256
from dlexp.workflows.compress.measure import size_facts
from dlexp.workflows.compress.request import CompressRequest
from dlexp.workflows.run_record.drift import check_evaluated
from dlexp.workflows.run_record.other_data import data_as_in
from dlexp.workflows.run_record.restore import load_eval_weights

# Layers that are replaced are neither compiled nor computed again in the backward pass.
_PLAIN = {"trainer.compile": False, "trainer.checkpoint_activations": False}


@dataclass(frozen=True)
class Source:
    """A trained run with the weights of a checkpoint.

    Attributes:
        evaluation: Of the split of the request, with the state that a report is made of.
        facts: Its size, arithmetic and memory.
        weights: SHA-256 of its weights.
    """

    run: RunDir
    experiment: Experiment
    evaluation: Evaluation
    facts: Mapping[str, Any]
    weights: str


def read_source(folder: Path, request: CompressRequest, changes: Mapping[str, Any]) -> Source:
    """Restore and evaluate the run in `folder`.

    Args:
        folder: Of the run.
        request: Split, checkpoint and trusted packages.
        changes: Overrides of where and how fast, such as trainer.device.

    Raises:
        ConfigError: There is no run, or its configuration was edited.
        DataError: Its data have changed.
    """
    run = RunDir.find(folder)
    with claimed(run.path):
        changes = {**_PLAIN, **changes}
        config = load_saved(run / "config.yaml", changes)
        refuse_onnx(config)
        data = data_as_in(run, config, request.trusted)
        experiment = assemble(config, request.trusted, data, is_for_training=False)
        check_evaluated(run, experiment, changes, request.allow_changes)
        load_eval_weights(run, experiment, request.checkpoint)
        if request.split == "test":
            log_split_access(run / "eval", request.split, request.checkpoint)
    found = evaluated(experiment, request.split)
    return Source(run, experiment, found, size_facts(experiment), weights_hash(experiment))


def evaluated(experiment: Experiment, split: str) -> Evaluation:
    """The evaluation of a split, with the state that a report is made of."""
    return evaluate(
        experiment.task,
        experiment.networks,
        experiment.split(split),
        experiment.precision,
        experiment.metrics.report_state(),
        seed=experiment.config.seed,
    )


def weights_hash(experiment: Experiment) -> str:
    """The SHA-256 of all weights and buffers, in the order of their names."""
    state = experiment.networks.state_dict()
    return sha256(state[name] for name in sorted(state))
