"""An experiment that is measured and trained in memory, with changes or without; nothing is written.

Symbols: B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import leaves
from dlexp.data.batches import bounds
from dlexp.data.bundle import DataBundle
from dlexp.data.loaders import EvalBatches
from dlexp.diagnosis.case import NetworkMeasure, RunSettings, Trace
from dlexp.diagnosis.measures.network import Sampled, measure_layers, measure_losses, measure_parameters
from dlexp.diagnosis.measures.outputs import measure_outputs
from dlexp.diagnosis.measures.updates import watch
from dlexp.engine.evaluate import seeded
from dlexp.engine.loop import course
from dlexp.networks.arithmetic import counted_arithmetic
from dlexp.networks.inspection.outputs import as_found
from dlexp.runtime.seed import kept_randomness, order
from dlexp.runtime.signals import NeverStop
from dlexp.types import Batch
from dlexp.workflows.prepare.initial_weights import prepared

_BATCHES = 4  # of training samples that layers and gradients are looked at with
_MOST_SAMPLED = 1024
_MOST_EVALUATED = 1000  # samples of a split
_WORK = 3e9  # multiply-adds of a trial, forward and backward pass
_LEAST_UPDATES, _MOST_UPDATES = 50, 600


class Nowhere:
    """Checkpoints that are not kept."""

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Keep nothing."""


@dataclass
class Examined:
    """An experiment with its training, at a position.

    Attributes:
        experiment: With its networks.
        setup: Their training.
        initial: Name -> parameter before training, None if it is unknown.
    """

    experiment: Experiment
    setup: TrainingSetup
    initial: Mapping[str, Tensor] | None = None
    _few: dict[str, list[Batch]] = field(default_factory=dict)

    @classmethod
    def prepared(cls, config: RunConfig, trusted: Sequence[str], bundle: DataBundle | None) -> Examined:
        """A examined with the initial weights that a run would have. Raises ConfigError or DataError."""
        config = replace(config, trainer=replace(config.trainer, compile=False))  # hooks see no compiled layer
        experiment = prepared(config, trusted, bundle)
        setup = prepare_training(experiment)
        setup.state.train_mode()
        initial = {name: p.detach().clone() for name, p in experiment.networks.named_parameters()}
        return cls(experiment, setup, initial)

    @property
    def networks(self) -> nn.ModuleDict:
        """As they are now."""
        return self.experiment.networks

    def facts(self) -> RunSettings:
        """What the configuration says."""
        config = self.experiment.config
        loss = getattr(self.experiment.task, "_criterion", None)
        return RunSettings(
            dict(config.choices),
            dict(leaves(config.tree)),
            config.monitor,
            config.maximize,
            config.seed,
            config.batch_size,
            self.setup.steps_per_epoch,
            config.trainer.epochs,
            self.experiment.num_parameters,
            type(loss).__name__,
        )

    def measure(self) -> NetworkMeasure:
        """Everything that is measured of the present weights."""
        experiment, state = self.experiment, self.setup.state
        size, count = experiment.config.batch_size, len(experiment.bundle.splits["train"])
        smallest = min(end - start for start, end in bounds(count, size))
        sampled = Sampled(experiment.task, experiment.config.seed, self._training_batches(), smallest)
        later = [name for name, begins in experiment.freezing.until.items() if begins is not None]
        parameters = measure_parameters(self.networks, sampled, self.initial, later)
        layers, losses = measure_layers(self.networks, sampled), measure_losses(self.networks, sampled)
        with state.eval_weights():
            train, val = (
                measure_outputs(
                    experiment.task,
                    self.networks,
                    self._evaluated(split),
                    experiment.precision,
                    experiment.bundle.spec,
                    experiment.config.seed,
                )
                for split in ("train", "val")
            )
        return NetworkMeasure(layers, parameters, train, val, losses)

    def train(self, updates: int) -> Trace:
        """Make the next updates; epochs beyond the last one are added."""
        setup, state = self.setup, self.setup.state
        epochs = state.epoch + 1 + -(-updates // setup.steps_per_epoch)
        plan = replace(
            setup.plan(), val=self._evaluated("val"), epochs=max(setup.plan().epochs, epochs), save_every_steps=None
        )
        state.best = replace(state.best, patience=None)  # a trial is as long as it is asked to be
        state.train_mode()
        with kept_randomness():
            return watch(course(plan, state, Nowhere(), NeverStop()), updates)

    def trial_updates(self) -> int:
        """How many updates a trial makes: at least 50, more of a small network, and never more than the run."""
        setup, config = self.setup, self.experiment.config
        networks, task = self.networks, self.experiment.task
        with counted_arithmetic(networks) as work, kept_randomness(), as_found(networks), torch.no_grad():
            for batch in seeded(self._training_batches()[:1], config.seed):
                task.predict(dict(networks.items()), batch)
        each = 3 * work.per_sample * config.batch_size * config.trainer.accumulate
        affordable = min(_MOST_UPDATES, max(_LEAST_UPDATES, int(_WORK / max(1.0, each))))
        return min(affordable, setup.steps_per_epoch * config.trainer.epochs)

    def _training_batches(self) -> list[Batch]:
        if "batches" not in self._few:
            experiment = self.experiment
            config, count = experiment.config, len(experiment.bundle.splits["train"])
            size = min(config.batch_size, count)
            chosen = order(count, config.seed, 0)[: min(_BATCHES * size, max(size, _MOST_SAMPLED))]
            few = experiment.bundle.with_split_subset("train", chosen)
            batches = list(EvalBatches(few, "train", size, experiment.device))
            self._few["batches"] = [batch for batch in batches if len(batch) == size or len(batches) == 1]
        return self._few["batches"]

    def _evaluated(self, split: str) -> list[Batch]:
        """At most 1,000 samples of a split, evenly spaced, without changes."""
        if split not in self._few:
            experiment = self.experiment
            count = len(experiment.bundle.splits[split])
            chosen = torch.linspace(0, count - 1, min(count, _MOST_EVALUATED)).round().long()
            few = experiment.bundle.with_split_subset(split, chosen)
            self._few[split] = list(EvalBatches(few, split, experiment.config.eval_batch_size, experiment.device))
        return self._few[split]
