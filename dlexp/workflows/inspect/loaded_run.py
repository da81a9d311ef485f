"""A run with its data, its network and its initial weights, for `dlexp inspect`.

Symbols: B samples of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import seeded
from dlexp.errors import ConfigError, DlexpError
from dlexp.models.scratch.bridge import layer_by_layer
from dlexp.networks.inspection.outputs import as_found
from dlexp.runtime.seed import kept_randomness
from dlexp.types import Batch
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.run_record.drift import check_evaluated
from dlexp.workflows.run_record.other_data import data_as_in
from dlexp.workflows.run_record.restore import load_eval_weights


@dataclass(frozen=True)
class LoadedRun:
    """A run as it is inspected.

    Attributes:
        experiment: With the weights of the checkpoint.
        initial: A copy of the networks before training, recomputed from the seed; None if it is unknown.
        last: A copy with the weights of the last epoch; None if there are none, or they are those of the checkpoint.
        notes: What is unknown, and why.
    """

    run: RunDir
    experiment: Experiment
    initial: nn.ModuleDict | None
    last: nn.ModuleDict | None
    notes: tuple[str, ...]

    def batches(self, split: str, samples: int) -> Iterator[Batch]:
        """At most `samples` samples of a split, evenly spaced, without augmentation, in batches of evaluation."""
        bundle, config = self.experiment.bundle, self.experiment.config
        total = len(bundle.splits[split])
        chosen = torch.linspace(0, total - 1, min(samples, total)).round().long()
        few = bundle.with_split_subset(split, chosen)
        yield from EvalBatches(few, split, config.eval_batch_size, self.experiment.device)

    def compute(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Run the networks over batches in evaluation mode, and yield each afterwards; everything is left as it was."""
        networks = self.experiment.networks
        with kept_randomness(), as_found(networks), torch.no_grad():
            for batch in seeded(batches, self.experiment.config.seed):
                self.experiment.task.predict(dict(networks.items()), batch)
                yield batch


def load_run(
    folder: Path,
    checkpoint: str,
    changes: Mapping[str, Any],
    trusted: Sequence[str],
    *,
    allow_changes: bool = False,
    needs_initial: bool = False,
) -> LoadedRun:
    """Restore a run with its data.

    Args:
        folder: Its directory.
        checkpoint: best or last.
        changes: Overrides, such as trainer.device.
        trusted: Trusted packages.
        allow_changes: Whether changed data and an edited configuration are allowed.
        needs_initial: Whether the initial and the last weights are wanted too.

    Raises:
        ConfigError: There is no such run, or its configuration was edited.
        DataError: Its data cannot be read or has changed.
        DlexpError: It has no such checkpoint.
    """
    run = RunDir.find(folder)
    config = load_saved(run / "config.yaml", dict(changes))
    config = replace(config, trainer=replace(config.trainer, compile=False))  # hooks see no layer of compiled networks
    experiment, initial, notes = _assembled(config, trusted, data_as_in(run, config, trusted), needs_initial)
    check_evaluated(run, experiment, changes, allow_changes)
    last = None
    if needs_initial and checkpoint != "last":
        try:
            load_eval_weights(run, experiment, "last")
            last = copy.deepcopy(experiment.networks)
        except DlexpError as error:
            notes.append(f"the weights of the last epoch are unknown: {error}")
    load_eval_weights(run, experiment, checkpoint)
    experiment = replace(experiment, networks=layer_by_layer(experiment.networks))
    return LoadedRun(run, experiment, initial, last, tuple(notes))


def _assembled(
    config: RunConfig, trusted: Sequence[str], bundle: DataBundle, needs_initial: bool
) -> tuple[Experiment, nn.ModuleDict | None, list[str]]:
    """The experiment, a copy of its initial networks and, without one, the reason."""
    if not needs_initial:
        return assemble(config, trusted, bundle, is_for_training=False), None, []
    try:
        experiment = prepared(config, trusted, bundle)
    except ConfigError as error:
        if config.init_from is None:
            raise
        return assemble(config, trusted, bundle), None, [f"the initial weights are unknown: {error}"]
    return experiment, copy.deepcopy(experiment.networks), []


def named_parameters(networks: nn.ModuleDict) -> dict[str, nn.Parameter]:
    """Name -> parameter; names of a single network are without its own."""
    source = next(iter(networks.values())) if len(networks) == 1 else networks
    return dict(source.named_parameters())


def gradients(loaded: LoadedRun, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor | None]:
    """Parameter -> gradient of the loss of `batch`, in evaluation mode; None if the loss does not depend on it."""
    task, experiment = loaded.experiment.task, loaded.experiment
    parameters = {name: p for name, p in named_parameters(networks).items() if p.requires_grad}
    found: dict[str, Tensor | None] = dict.fromkeys(parameters)
    with kept_randomness(), as_found(networks):
        for phase in task.phases:
            list(seeded([batch], experiment.config.seed))
            task.begin_phase(0, 0)
            value = task.loss(phase, dict(networks.items()), batch).value
            if not value.requires_grad:
                continue
            for name, gradient in zip(
                parameters, torch.autograd.grad(value, list(parameters.values()), allow_unused=True), strict=True
            ):
                found[name] = gradient if gradient is not None else found[name]
    return found
