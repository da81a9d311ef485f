"""An experiment that is measured and trained in memory, with changes or without; nothing is written.

Symbols: B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import nan

import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import leaves
from dlexp.data.batches import bounds
from dlexp.data.bundle import DataBundle
from dlexp.data.loaders import EvalBatches
from dlexp.diagnosis.case import (
    IdealLosses,
    NetworkChange,
    NetworkMeasure,
    OutputMeasure,
    RunSettings,
    Trace,
    TrialMeasure,
)
from dlexp.diagnosis.layer_measures import ActivationMeasure
from dlexp.diagnosis.measures.activations import measure_activations
from dlexp.diagnosis.measures.constant_output import constant_loss, ideal_losses
from dlexp.diagnosis.measures.memory import measure_memory
from dlexp.diagnosis.measures.network import Sampled, measure_layers, measure_losses, measure_parameters
from dlexp.diagnosis.measures.outputs import measure_outputs
from dlexp.diagnosis.measures.updates import watch
from dlexp.engine.evaluate import seeded
from dlexp.engine.loop import Course, EpochRecord, Observer, StepRecord, course
from dlexp.models.scratch.bridge import layer_by_layer
from dlexp.networks.arithmetic import counted_arithmetic
from dlexp.networks.inspection.outputs import as_found
from dlexp.runtime.seed import kept_randomness, order
from dlexp.runtime.signals import NeverStop
from dlexp.specs import ClassSpec
from dlexp.types import Batch
from dlexp.workflows.prepare.in_memory import Nowhere
from dlexp.workflows.prepare.initial_weights import prepared

_BATCHES = 4  # of training samples that layers and gradients are looked at with
_MOST_SAMPLED = 1024
_LEAST_SAMPLED = 256  # that a unit must be dead for
_MOST_EVALUATED = 1000  # samples of a split
_WORK = 3e9  # multiply-adds of a trial, forward and backward pass
_BRIEF_WORK = 6e11  # multiply-adds of the first updates of a pre-flight: a quarter of its minute on one core
_MEASURING_WORK = 1e11  # multiply-adds of a pass over a split, or over the training batches that are looked at
_FEWEST_SAMPLES = 32
_FEWEST_UPDATES = 3
_OF_TIME = ("seconds", "samples_per_s")
_LEAST_UPDATES, _MOST_UPDATES = 50, 600


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
    def prepared(
        cls, config: RunConfig, trusted: Sequence[str], bundle: DataBundle | None, change: NetworkChange | None = None
    ) -> Examined:
        """The experiment of a configuration, with its initial weights, changed. Raises ConfigError or DataError."""
        config = replace(config, trainer=replace(config.trainer, compile=False))  # hooks see no compiled layer
        experiment = prepared(config, trusted, bundle)
        if change is not None:
            change.apply(experiment.networks)
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
            len(self.experiment.task.phases),
        )

    def measure(self) -> NetworkMeasure:
        """Everything that is measured of the present weights."""
        experiment = self.experiment
        size, count = experiment.config.batch_size, len(experiment.bundle.splits["train"])
        smallest = min(end - start for start, end in bounds(count, size))
        sampled = Sampled(experiment.task, experiment.config.seed, self._training_batches(), smallest)
        parameters = measure_parameters(self.networks, sampled, self.initial, experiment.freezing.until)
        layers, losses = measure_layers(self._layers, sampled), measure_losses(self.networks, sampled)
        train, val = self._outputs("train"), self._outputs("val")
        activations, memory = self._activations(sampled), measure_memory(self._layers, sampled)
        return NetworkMeasure(layers, parameters, train, val, losses, activations, memory)

    def outcome(self, *, watches_units: bool) -> TrialMeasure:
        """What rules ask of the weights of a trial: a small part of `measure`."""
        found = TrialMeasure(self._outputs("train"), self._outputs("val"))
        if not watches_units:
            return found
        sampled = Sampled(self.experiment.task, self.experiment.config.seed, self._training_batches(), 0)
        return replace(found, activations=self._activations(sampled))

    def _activations(self, sampled: Sampled) -> list[ActivationMeasure]:
        few = sum(map(len, sampled.batches)) < _LEAST_SAMPLED
        return measure_activations(self._layers, replace(sampled, batches=self._evaluated("train")) if few else sampled)

    @property
    def _layers(self) -> nn.ModuleDict:
        """The networks, whose layers are called one by one."""
        return layer_by_layer(self.networks)

    def constant_loss(self) -> float | None:
        """The loss of the best equal outputs for the training samples that `measure` evaluates."""
        experiment = self.experiment
        return constant_loss(experiment.task, self.networks, self._evaluated("train"), experiment.config.seed)

    def ideal(self) -> IdealLosses | None:
        """The losses of right outputs for the same samples, None for targets that are no classes."""
        experiment, targets = self.experiment, self.experiment.bundle.spec.targets
        if not isinstance(targets, ClassSpec):
            return None
        few = self._evaluated("train")
        return ideal_losses(experiment.task, self.networks, few, experiment.config.seed, len(targets.names))

    def loss_of(self, split: str) -> float:
        """The loss over the samples of a split that are looked at."""
        return self._outputs(split).metrics.get("loss", nan)

    def batches_of(self, split: str) -> list[Batch]:
        """The samples of a split that are looked at."""
        return self._evaluated(split)

    def train(self, updates: int) -> Trace:
        """Make the next updates, and watch them; epochs beyond the last one are added."""
        rows: list[Mapping[str, float]] = []

        def observe(record: StepRecord | EpochRecord) -> None:
            if isinstance(record, EpochRecord):
                rows.append({name: value for name, value in record.values.items() if name not in _OF_TIME})

        with kept_randomness():
            trace = watch(self.course(updates, [observe]), updates)
        return replace(trace, epochs=tuple(rows))

    def course(self, updates: int, observers: Sequence[Observer] = ()) -> Course[str]:
        """The course of at least so many updates from here."""
        setup, state = self.setup, self.setup.state
        epochs = state.epoch + 1 + -(-updates // setup.steps_per_epoch)
        plan = replace(
            setup.plan(observers),
            val=self._evaluated("val"),
            epochs=max(setup.plan().epochs, epochs),
            save_every_steps=None,
        )
        state.best = replace(state.best, patience=None)  # a trial is as long as it is asked to be
        state.train_mode()
        return course(plan, state, Nowhere(), NeverStop())

    def trial_updates(self) -> int:
        """How many updates a trial makes: at least 50, more of a small network, and never more than the run."""
        affordable = min(_MOST_UPDATES, max(_LEAST_UPDATES, int(_WORK / self._work_of_update)))
        return min(affordable, self.setup.steps_per_epoch * self.experiment.config.trainer.epochs)

    def brief_updates(self) -> int:
        """The most updates that a pre-flight of a minute makes: few of a large network."""
        return max(_FEWEST_UPDATES, int(_BRIEF_WORK / self._work_of_update))

    @property
    def _work_of_update(self) -> float:
        """Multiply-adds of an update, forward and backward pass."""
        config = self.experiment.config
        return max(1.0, 3 * self.work * config.batch_size * config.trainer.accumulate)

    @cached_property
    def work(self) -> float:
        """Multiply-adds of the forward pass of one sample."""
        experiment, networks = self.experiment, self.networks
        few = experiment.bundle.with_split_subset("train", torch.arange(min(2, len(experiment.bundle.splits["train"]))))
        with counted_arithmetic(networks) as work, kept_randomness(), as_found(networks), torch.no_grad():
            for batch in seeded(EvalBatches(few, "train", 2, experiment.device), experiment.config.seed):
                experiment.task.predict(dict(networks.items()), batch)
        return float(work.per_sample)

    def _affordable(self, most: int, passes: int) -> int:
        """Samples of a large network that are looked at, so that measuring takes seconds."""
        return max(_FEWEST_SAMPLES, min(most, int(_MEASURING_WORK / max(1.0, passes * self.work))))

    def _outputs(self, split: str) -> OutputMeasure:
        """The outputs of the weights that are evaluated, for the samples of a split that are looked at."""
        experiment = self.experiment
        with self.setup.state.eval_weights():
            return measure_outputs(
                experiment.task,
                self.networks,
                self._evaluated(split),
                experiment.precision,
                experiment.bundle.spec,
                experiment.config.seed,
            )

    def _training_batches(self) -> list[Batch]:
        if "batches" not in self._few:
            experiment = self.experiment
            config, count = experiment.config, len(experiment.bundle.splits["train"])
            most = self._affordable(_MOST_SAMPLED, passes=6)
            size = min(config.batch_size, count, max(_FEWEST_SAMPLES, most))
            chosen = order(count, config.seed, 0)[: min(_BATCHES * size, max(size, most))]
            few = experiment.bundle.with_split_subset("train", chosen)
            batches = list(EvalBatches(few, "train", size, experiment.device))
            self._few["batches"] = [batch for batch in batches if len(batch) == size or len(batches) == 1]
        return self._few["batches"]

    def _evaluated(self, split: str) -> list[Batch]:
        """At most 1,000 samples of a split, less of a large network, evenly spaced, without changes."""
        if split not in self._few:
            experiment = self.experiment
            count = len(experiment.bundle.splits[split])
            chosen = torch.linspace(0, count - 1, min(count, self._affordable(_MOST_EVALUATED, 1))).round().long()
            few = experiment.bundle.with_split_subset(split, chosen)
            self._few[split] = list(EvalBatches(few, split, experiment.config.eval_batch_size, experiment.device))
        return self._few[split]
