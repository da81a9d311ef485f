"""A run put together again from its directory alone: its network, its weights, and what its data were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import Experiment, assemble, build_data
from dlexp.config.derive import Change
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import SPLITS, Affine, DataBundle, blank_bundle, with_counts
from dlexp.engine.state import load_weights
from dlexp.errors import DlexpError
from dlexp.runtime.tensors import moved
from dlexp.types import Batch, DataSpec
from dlexp.workflows.run_record.drift import check_used

_ONE_SAMPLE = dict.fromkeys(SPLITS, 1)


@dataclass(frozen=True)
class Use:
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
class Stored:
    """A run that can answer; its data need not be there.

    experiment     with the weights of the checkpoint; its samples are blank
    preprocessing  how raw input became the network's, as preprocessing.json has it
    normalize      the last step of that
    changed        what has changed since the run was trained
    """

    run: RunDir
    experiment: Experiment
    preprocessing: Mapping[str, Any]
    normalize: Affine
    changed: Sequence[Change]

    def unlabelled(self, inputs: Tensor) -> Batch:
        """(B, *input_shape), normalised, with stand-ins for targets, for a prediction comes with a loss.

        They are class 0, or the mean of each target.
        """
        spec, rows = self.experiment.bundle.spec, torch.arange(len(inputs), device=inputs.device)
        if spec.targets == "class":
            return Batch(inputs, torch.zeros_like(rows), rows)
        means = moved(torch.tensor(spec.target_mean, dtype=torch.float64), inputs.device)
        return Batch(inputs, means.expand(len(inputs), -1), rows)


def restored(folder: Path, use: Use) -> Stored:
    """The run in `folder`.

    Raises ConfigError when there is none or its configuration was edited, DlexpError without such a checkpoint. A run
    of an earlier version did not write down what its data were, and needs them once more.
    """
    run, changes = RunDir.find(folder), dict(use.changes or {})
    config = load_saved(run / "config.yaml", changes)
    if config.model.arguments.get("pretrained"):  # weights that are replaced below need not be fetched
        changes["model.pretrained"] = False
        config = load_saved(run / "config.yaml", changes)
    found = _preprocessing(run, config, use.trusted)
    bundle = blank_bundle(spec_of(found["spec"]), _ONE_SAMPLE)
    experiment = assemble(config, use.trusted, bundle)
    changed = check_used(run, experiment, changes, use.allow_changes)
    load_judged(run, experiment, use.checkpoint)
    return Stored(run, experiment, found, Affine.of_plain(found["normalize"]), changed)


def in_trained_units(run: RunDir, bundle: DataBundle) -> DataBundle:
    """`bundle` with the mean and deviation of each target that the run's network counts its outputs in.

    They are those of the data that it was trained on, whatever data it is used on now. A run that did not write them
    down has those of `bundle`.
    """
    path = run / "preprocessing.json"
    trained = read_run_file(path).get("spec") if is_there(path) else None
    if trained is None or bundle.spec.targets != "value" or len(trained["target_mean"]) != bundle.spec.num_outputs:
        return bundle
    mean, std = _tuples(trained["target_mean"]), _tuples(trained["target_std"])
    return replace(bundle, spec=replace(bundle.spec, target_mean=mean, target_std=std))


def load_judged(run: RunDir, experiment: Experiment, checkpoint: str) -> None:
    """Put the weights of a run's `checkpoint` (best or last) that are judged, an average if it keeps one, in place.

    Raises DlexpError when there is no such checkpoint, or it holds no weights of this model, finite numbers all.
    """
    store = CheckpointStore(run / "checkpoints", lambda text: None)
    state = store.load_best() if checkpoint == "best" else store.load_last(owner=False)
    if state is None:
        state_of_run = run.status().state
        raise DlexpError(
            f"{run.path} has no {checkpoint} checkpoint yet ({state_of_run}); let it finish an epoch first"
        )
    with naming(store.folder / f"{checkpoint}.pt"):
        load_weights(experiment.networks, state.get("evaluation_networks", state["networks"]))


def _preprocessing(run: RunDir, config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    path = run / "preprocessing.json"
    found = read_run_file(path) if is_there(path) else {}
    if {"spec", "normalize"} <= found.keys():
        return found
    bundle = with_counts(build_data(config, trusted))
    return {**bundle.preprocessing, "normalize": bundle.normalize.plain(), "spec": asdict(bundle.spec)}


def spec_of(values: Mapping[str, Any]) -> DataSpec:
    """The spec in a JSON file. Raises DlexpError for what is none."""
    try:
        return DataSpec(**{name: _tuples(value) for name, value in values.items()})
    except TypeError as error:
        raise DlexpError(f"preprocessing.json does not say what the data were: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
