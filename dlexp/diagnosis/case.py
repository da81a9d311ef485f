"""Everything that is known of a run when it is judged.

Symbols: N samples, C classes, O outputs, L layers, E epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import nn

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.layer_measures import ActivationMeasure, MemoryMeasure
from dlexp.specs import ClassSpec, ValueSpec


@dataclass(frozen=True)
class RunSettings:
    """What the configuration says.

    Attributes:
        options: Group -> option, such as {"model": "mlp"}.
        settings: Dotted key -> plain value of every key.
        monitor: Metric that decides which epoch is best.
        maximize: Whether more of it is better.
        seed: Of the run.
        batch_size: Samples of a batch.
        updates_per_epoch: Of a whole epoch.
        epochs: Epochs that were asked for.
        parameters: Number of trainable parameters.
        loss: Name of the class of the loss.
        phases: Phases of an update; several have losses of their own, which need not fall together.
    """

    options: Mapping[str, str]
    settings: Mapping[str, Any]
    monitor: str
    maximize: bool
    seed: int
    batch_size: int
    updates_per_epoch: int
    epochs: int
    parameters: int
    loss: str
    phases: int = 1

    @property
    def updates(self) -> int:
        """Updates that were asked for."""
        return self.epochs * self.updates_per_epoch

    def number(self, key: str) -> float | None:
        """The value of a key that is a number, None otherwise."""
        value = self.settings.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class History:
    """The rows of metrics.csv.

    Attributes:
        columns: Name -> values of E epochs; NaN where a cell is empty.
        ending: How the run ended: finished, stopped early, not finite, failed, interrupted, running or none.
        best_epoch: Epoch of the best value of the monitor, counted from 1; 0 for none.
        failed_at: Update at which something was not finite, None if everything was.
    """

    columns: Mapping[str, Sequence[float]]
    ending: str
    best_epoch: int
    failed_at: int | None = None

    @property
    def epochs(self) -> int:
        """E."""
        return len(next(iter(self.columns.values()), ()))

    def of(self, name: str) -> Sequence[float]:
        """The values of a column, () if there is none."""
        return self.columns.get(name, ())


@dataclass(frozen=True)
class ParameterMeasure:
    """A parameter tensor.

    Attributes:
        name: Dotted path.
        elements: Number of elements.
        dimensions: Number of dimensions; 2 and more for weights of layers.
        is_frozen: It has no gradient because it was frozen.
        gradient: Root mean square of the gradient of the loss over the samples looked at; None if the loss does not
            depend on it.
        size: Root mean square of its elements.
        moved: Norm of its change since the start by its norm then; None if the start is unknown.
        not_finite: Elements that are NaN or infinite, of itself or of its gradient.
        is_asked: `trainer.freeze` or `trainer.freeze_layers` of the run freezes it.
        is_used: The loss depends on it, in evaluation or in training mode.
        digits: Binary digits of its number format: 24 of fp32, 11 of fp16, 8 of bf16.
    """

    name: str
    elements: int
    dimensions: int
    is_frozen: bool
    gradient: float | None
    size: float
    moved: float | None = None
    not_finite: int = 0
    is_asked: bool = False
    is_used: bool = True
    digits: int = 24


@dataclass(frozen=True)
class LayerMeasure:
    """The outputs of a layer over the samples looked at, in evaluation mode, in the order of the calls.

    Attributes:
        name: Dotted path.
        std: Standard deviation of the outputs.
    """

    name: str
    std: float


@dataclass(frozen=True)
class OutputMeasure:
    """The outputs of the network for samples of a split, in evaluation mode, without augmentation.

    Attributes:
        samples: N.
        metrics: Name -> value of every metric of the task, loss included.
        lowest: Smallest output of the network.
        highest: Largest output of the network.
        sums_to_one: Share of the samples whose outputs are in [0, 1] and sum to 1.
        spread: Mean over the outputs of their standard deviation over the samples.
        class_shares: Share of each class among the targets: C, () without classes.
        predicted_shares: Share of each class among the predictions: C.
        recalls: Recall of each class: C; NaN for a class without samples.
        sample_losses: Of each sample, by the same formula whatever the loss is: -log of the probability of its class,
            or the mean square of its errors by the variance of the training targets: N, in the order of the split; ()
            for targets of other kinds.
    """

    samples: int
    metrics: Mapping[str, float]
    lowest: float
    highest: float
    sums_to_one: float
    spread: float
    class_shares: Sequence[float] = ()
    predicted_shares: Sequence[float] = ()
    recalls: Sequence[float] = ()
    sample_losses: Sequence[float] = ()


@dataclass(frozen=True)
class ModeLosses:
    """The loss of the same samples, with layers in different modes.

    Attributes:
        evaluation: All layers in evaluation mode.
        training: All layers in training mode.
        batch_statistics: Batch normalization in training mode, all others in evaluation mode; equal to `evaluation`
            without such layers.
        smallest_batch: Samples that a batch normalization averages over, at least: the smallest batch of an epoch.
        batch_norms: Number of layers of batch normalization.
        refreshed: As `evaluation`, with running statistics that are means over these batches.
    """

    evaluation: float
    training: float
    batch_statistics: float
    smallest_batch: int
    batch_norms: int = 0
    refreshed: float = float("nan")


@dataclass(frozen=True)
class NetworkMeasure:
    """A network with certain weights, looked at with training samples.

    Attributes:
        layers: In the order of their first calls.
        parameters: In the order of registration.
        train: Of training samples, without augmentation, in evaluation mode.
        val: Of validation samples.
        losses: Mean losses of the same few batches of training samples, of the size that updates have, without changes
            to the samples.
        activations: In the order of their first calls.
        memory: Of networks with recurrent layers, None for others and for short sequences.
    """

    layers: Sequence[LayerMeasure]
    parameters: Sequence[ParameterMeasure]
    train: OutputMeasure
    val: OutputMeasure
    losses: ModeLosses
    activations: Sequence[ActivationMeasure] = ()
    memory: MemoryMeasure | None = None


class Outcome(Protocol):
    """What is known of the weights that a trial ends with, and of every other network that is measured."""

    @property
    def train(self) -> OutputMeasure:
        """Of training samples, without augmentation, in evaluation mode."""

    @property
    def val(self) -> OutputMeasure:
        """Of validation samples."""

    @property
    def activations(self) -> Sequence[ActivationMeasure]:
        """In the order of their first calls; of trials only where the run has dead units."""


@dataclass(frozen=True)
class TrialMeasure:
    """The few measures of a trial; see `Outcome`."""

    train: OutputMeasure
    val: OutputMeasure
    activations: Sequence[ActivationMeasure] = ()


@dataclass(frozen=True)
class Trace:
    """Some updates, watched one by one.

    Attributes:
        losses: Loss of each update.
        gradient_norms: Norm of the whole gradient before it was limited.
        clipped: Updates whose gradient was scaled down.
        ratios: Weight -> norm of a change by norm of the weight, median over the updates.
        gradients: Weight -> root mean square of its gradient, median over the updates, in the order of the layers.
        agreement: Norm of the mean gradient by the root mean square of the norms, in [0, 1]: 1 if all agree, about
            1/sqrt(updates) if they are noise.
        failed_at: Number of the update, from 0, whose loss, gradient or weight was not finite; None for none.
        failure: What failed, in words.
        epochs: The columns of metrics.csv of each epoch that ended in between, without those of time.
        failed_in: What was not finite first: data, weight, layer, loss or gradient; "" if it is unknown.
        failed_name: Its name: inputs or targets, a layer or a parameter.
        rounded_away: Parameter with fewer than 24 binary digits -> share of its elements that have a gradient, and stay
            what they were, median over the updates.
    """

    losses: Sequence[float]
    gradient_norms: Sequence[float]
    clipped: int
    ratios: Mapping[str, float]
    gradients: Mapping[str, float]
    agreement: float
    failed_at: int | None = None
    failure: str = ""
    failed_in: str = ""
    failed_name: str = ""
    epochs: Sequence[Mapping[str, float]] = ()
    rounded_away: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Twin:
    """A short training with one thing changed, or nothing.

    Attributes:
        words: The changes, as overrides.
        trace: Its updates.
        before: The measures before the first update, of the run itself where its own initial weights are unknown.
        after: The measures after the last update.
        problem: Why it could not be trained, "" if it was.
    """

    words: tuple[str, ...]
    trace: Trace | None = None
    before: Outcome | None = None
    after: Outcome | None = None
    problem: str = ""


Start = Literal["initial", "stored"]


@dataclass(frozen=True)
class NetworkChange:
    """A change of networks that no word makes, for a trial.

    Attributes:
        name: What it is remembered by.
        apply: Changes the networks in place, before an optimizer is made.
    """

    name: str
    apply: Callable[[nn.ModuleDict], object]


class Twins(Protocol):
    """Trains a twin of the run for some updates, in memory; what was trained once is remembered."""

    def __call__(
        self, *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
    ) -> Twin:
        """Train with `words` as further overrides.

        Args:
            words: The changes, none for the run itself.
            start: Whether from the initial weights or from the stored state.
            updates: How many updates, None for as many as pay: at least 50, and all of a small run.
            change: A change that no word makes.
        """


@dataclass(frozen=True)
class IdealLosses:
    """The losses of outputs that are right for every sample.

    Attributes:
        probabilities: Of outputs that are 1 for the right class, and 0 for the others.
        scores: Of outputs that are 30 times as large, as logits are.
        bounded: Of outputs that are 1 for the right class, and -1 for the others.
    """

    probabilities: float
    scores: float
    bounded: float


@dataclass(frozen=True)
class Case:
    """A run, or one that is to begin.

    Attributes:
        facts: What the configuration says.
        bundle: The data.
        start: The network before the first update, None if its weights are unknown.
        first: The first updates, made again; None as above.
        end: The network with the last stored weights, None before training.
        last: The updates that would follow, None as above.
        history: None before training.
        twin: Trains with changes.
        notes: What could not be measured, and why.
        constant_loss: The loss of the best equal outputs for all training samples looked at, None if there is none.
        ideal: The losses of outputs that name the right class, None for other targets.
    """

    facts: RunSettings
    bundle: DataBundle
    twin: Twins
    start: NetworkMeasure | None = None
    first: Trace | None = None
    end: NetworkMeasure | None = None
    last: Trace | None = None
    history: History | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    constant_loss: float | None = None
    ideal: IdealLosses | None = None

    @property
    def classes(self) -> ClassSpec | None:
        """The classes, None for other targets."""
        targets = self.bundle.spec.targets
        return targets if isinstance(targets, ClassSpec) else None

    @property
    def values(self) -> ValueSpec | None:
        """The numbers that are predicted, None for other targets."""
        targets = self.bundle.spec.targets
        return targets if isinstance(targets, ValueSpec) else None

    @property
    def now(self) -> NetworkMeasure | None:
        """The network with the last weights that there are."""
        return self.end or self.start
