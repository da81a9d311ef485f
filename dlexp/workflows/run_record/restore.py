"""A run put together again from its directory alone: its network, its weights, and what its data were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
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
from dlexp.types import Batch, Field
from dlexp.workflows.data_record import describe_data, preprocess_of, spec_of
from dlexp.workflows.run_record.drift import check_used

_ONE_SAMPLE = dict.fromkeys(SPLITS, 1)


@dataclass(frozen=True)
class RestoreOptions:
    """With what a run is used.

    checkpoint     best or last
    changes        keys of the configuration that are others here, such as trainer.device
    trusted        packages that the user trusts
    allow_changes  go on although the configuration was edited by hand
    """

    checkpoint: str = "best"
    changes: Mapping[str, Any] | None = None
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False


@dataclass(frozen=True)
class RestoredRun:
    """A run that can answer; its data need not be there.

    experiment     with the weights of the checkpoint; its samples are blank
    preprocessing  how raw input became the network's, as preprocessing.json has it
    preprocess     the last step of that
    changed        what has changed since the run was trained
    """

    run: RunDir
    experiment: Experiment
    preprocessing: Mapping[str, Any]
    preprocess: Preprocess
    changed: Sequence[Change]

    def unlabelled(self, inputs: Field) -> Batch:
        """Preprocessed inputs with placeholders for targets, because a prediction comes with a loss.

        They are the mean of each value, or blank targets, such as class 0.
        """
        count = len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)
        targets, device = self.experiment.bundle.spec.targets, self.experiment.device
        if isinstance(targets, ValueSpec):
            blank: Field | None = torch.tensor([targets.mean], dtype=torch.float64)
        else:
            blank = None if targets is None else targets.blank()
        repeated = None if blank is None else read_all(Constant(blank, count).to(device))
        return Batch(inputs, repeated, torch.arange(count, device=device))


def restore_run(folder: Path, options: RestoreOptions) -> RestoredRun:
    """The run in `folder`.

    Raises ConfigError when there is none or its configuration was edited, DlexpError without such a checkpoint. A run
    of an earlier version did not write down what its data were, and needs them once more.
    """
    run, changes = RunDir.find(folder), dict(options.changes or {})
    config = load_saved(run / "config.yaml", changes)
    if config.model.arguments.get("pretrained"):  # weights that are replaced below need not be fetched
        changes["model.pretrained"] = False
        config = load_saved(run / "config.yaml", changes)
    found = _preprocessing(run, config, options.trusted)
    bundle = blank_bundle(spec_of(found["spec"], config, options.trusted), _ONE_SAMPLE)
    experiment = assemble(config, options.trusted, bundle)
    changed = check_used(run, experiment, changes, options.allow_changes)
    load_eval_weights(run, experiment, options.checkpoint)
    return RestoredRun(run, experiment, found, preprocess_of(found["preprocess"]), changed)


def in_trained_units(run: RunDir, bundle: DataBundle) -> DataBundle:
    """`bundle` with the mean and deviation of each target that the run's network counts its outputs in.

    They are those of the data that it was trained on, whatever data it is used on now. A run that did not write them
    down has those of `bundle`.
    """
    path = run / "preprocessing.json"
    trained = read_run_file(path).get("spec") if is_there(path) else None
    own, learned = bundle.spec.targets, (trained or {}).get("targets") or {}
    if not isinstance(own, ValueSpec) or len(learned.get("mean", ())) != own.num_outputs:
        return bundle
    units = replace(own, mean=tuple(learned["mean"]), std=tuple(learned["std"]))
    return replace(bundle, spec=replace(bundle.spec, targets=units))


def load_eval_weights(run: RunDir, experiment: Experiment, checkpoint: str) -> None:
    """Put the weights of a run's `checkpoint` (best or last) that are judged, an average if it keeps one, in place.

    Raises DlexpError when there is no such checkpoint, or it holds no weights of this model, finite numbers all.
    """
    store = CheckpointStore(run / "checkpoints", lambda text: None)
    state = store.load_best() if checkpoint == "best" else store.load_last(owner=False)
    if state is None:
        state_of_run = run.status().state
        raise DlexpError(
            f"{run.path} has no {checkpoint} checkpoint yet ({state_of_run}); let it finish an epoch first",
            code="not-found",
        )
    with naming(store.folder / f"{checkpoint}.pt"):
        load_weights(experiment.networks, state.get("eval_weights", state["networks"]))


def _preprocessing(run: RunDir, config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    path = run / "preprocessing.json"
    found = read_run_file(path) if is_there(path) else {}
    if {"spec", "preprocess"} <= found.keys():
        return found
    bundle = with_counts(build_data(config, trusted))
    return describe_data(bundle)
