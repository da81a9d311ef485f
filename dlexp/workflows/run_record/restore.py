"""Restores a trained run from its directory: network, weights and preprocessing, without its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.format_number import refuse_other_run_format
from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.artifacts.runs.run_tree import study_of_trial
from dlexp.assemble.experiment import Experiment, assemble, build_data
from dlexp.config.derive import Change
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import SPLITS, DataBundle, blank_bundle, with_counts
from dlexp.data.columns import Constant, read_all
from dlexp.data.preprocess import Preprocess
from dlexp.engine.state import load_weights
from dlexp.errors import DlexpError
from dlexp.specs import ValueSpec
from dlexp.text.quoting import command
from dlexp.types import Batch, Field
from dlexp.workflows.run_record.data import describe_data, preprocess_of, spec_of
from dlexp.workflows.run_record.drift import check_used

_ONE_SAMPLE = dict.fromkeys(SPLITS, 1)


@dataclass(frozen=True)
class RestoreOptions:
    """Options of restoring a run.

    Attributes:
        checkpoint: best or last.
        changes: Overrides of the configuration, such as trainer.device.
        trusted: Trusted packages.
        allow_changes: Whether an edited configuration is allowed.
    """

    checkpoint: str = "best"
    changes: Mapping[str, Any] | None = None
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False


@dataclass(frozen=True)
class RestoredRun:
    """A trained run that can predict; its data is not needed.

    Attributes:
        experiment: With the weights of the checkpoint and placeholder samples.
        preprocessing: The content of preprocessing.json.
        preprocess: The last step of the preprocessing.
        changed: The changes since the run was trained.
    """

    run: RunDir
    experiment: Experiment
    preprocessing: Mapping[str, Any]
    preprocess: Preprocess
    changed: Sequence[Change]

    def unlabeled(self, inputs: Field) -> Batch:
        """Preprocessed inputs with placeholders for targets, because a prediction comes with a loss.

        They are the mean of each value, or blank targets, such as class 0.
        """
        count = len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)
        targets, device = self.experiment.bundle.spec.targets, self.experiment.device
        if isinstance(targets, ValueSpec):
            blank: Field | None = torch.tensor([targets.mean], dtype=torch.float64)
        elif targets is not None and (aligned := targets.aligned(inputs)) is not None:
            return Batch(inputs, aligned, torch.arange(count, device=device))
        else:
            blank = None if targets is None else targets.blank()
        repeated = None if blank is None else read_all(Constant(blank, count).to(device))
        return Batch(inputs, repeated, torch.arange(count, device=device))


def restore_run(folder: Path, options: RestoreOptions) -> RestoredRun:
    """Restore the run in `folder`.

    Raises:
        ConfigError: There is no run, or its configuration was edited.
        DlexpError: The checkpoint does not exist.
    """
    run, changes = RunDir.find(folder), dict(options.changes or {})
    refuse_other_run_format(run.path)
    config = load_saved(run / "config.yaml", changes)
    if config.model.arguments.get("pretrained"):  # the weights are replaced below, so they need not be downloaded
        changes["model.pretrained"] = False
        config = load_saved(run / "config.yaml", changes)
    found = _preprocessing(run, config, options.trusted)
    bundle = blank_bundle(spec_of(found["spec"], config, options.trusted), _ONE_SAMPLE)
    experiment = assemble(config, options.trusted, bundle)
    changed = check_used(run, experiment, changes, options.allow_changes)
    load_eval_weights(run, experiment, options.checkpoint)
    return RestoredRun(run, experiment, found, preprocess_of(found["preprocess"]), changed)


def in_trained_units(run: RunDir, bundle: DataBundle) -> DataBundle:
    """`bundle` with the target means and standard deviations of the training data of the run."""
    path = run / "preprocessing.json"
    trained = read_run_file(path).get("spec") if is_there(path) else None
    own, learned = bundle.spec.targets, (trained or {}).get("targets") or {}
    if not isinstance(own, ValueSpec) or len(learned.get("mean", ())) != own.num_outputs:
        return bundle
    units = replace(own, mean=tuple(learned["mean"]), std=tuple(learned["std"]))
    return replace(bundle, spec=replace(bundle.spec, targets=units))


def load_eval_weights(run: RunDir, experiment: Experiment, checkpoint: str) -> None:
    """Load the evaluation weights of a checkpoint (best or last): the average, if the run keeps one.

    Raises:
        DlexpError: The checkpoint does not exist, or its weights are incompatible or not finite.
    """
    store = CheckpointStore(run / "checkpoints", lambda text: None)
    state = store.load_best() if checkpoint == "best" else store.load_last(has_lock=False)
    if state is None:
        raise without_checkpoint(run, checkpoint)
    with naming(store.folder / f"{checkpoint}.pt"):
        load_weights(experiment.networks, state.get("eval_weights", state["networks"]))


def without_checkpoint(run: RunDir, checkpoint: str) -> DlexpError:
    """The error for a trial, or a run that has finished no epoch, and what to do about it in the state of that run."""
    state = run.status().state
    if study_of_trial(run.path) is not None:
        rule = "is a trial of a study, which keeps no weights"
        remedy = f"Train it as a run of its own: {command('train', '--from', run.path)}"
    elif state == "running" and run.is_locked():
        rule, remedy = f"has no {checkpoint} checkpoint yet", "Wait until it has finished an epoch."
    else:
        rule, remedy = f"({state}) has no {checkpoint} checkpoint", "Use a run that has finished an epoch."
    return DlexpError(f"{run.path} {rule}. {remedy}", code="not-found")


def _preprocessing(run: RunDir, config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    path = run / "preprocessing.json"
    found = read_run_file(path) if is_there(path) else {}
    if {"spec", "preprocess"} <= found.keys():
        return found
    bundle = with_counts(build_data(config, trusted))
    return describe_data(bundle)
