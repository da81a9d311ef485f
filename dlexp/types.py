"""The values that pass between data, tasks and engine.

Symbols: B samples in a batch, C classes, F features, O outputs, H and W image height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from torch import Tensor

InputKind = Literal["image", "tabular"]
TargetKind = Literal["class", "value"]


@dataclass(frozen=True)
class DataSpec:
    """What a model and a task must know of the data, and nothing else.

    input_shape     shape of one sample: (channels, H, W) for images, (F,) for tables
    num_outputs     C for classes, O for values: how many numbers the network puts out for one sample, unless the task
                    or its loss asks for another number (one logit for two classes, an embedding)
    class_names     C names, in the order of the class numbers; empty for values
    target_names    O names, empty for classes
    target_mean     mean of each target over the training split, O numbers; empty for classes
    target_std      its standard deviation, O numbers above 0; empty for classes
    class_counts    training samples of each class, C numbers; empty for values
    target_min      smallest training value of each target, O numbers; empty for classes
    categorical     (first feature, number of categories) of each categorical column of a table, whose features are 1
                    for the category of the row and 0 for the others; all other features are numbers
    """

    inputs: InputKind
    targets: TargetKind
    input_shape: tuple[int, ...]
    num_outputs: int
    class_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    target_mean: tuple[float, ...] = ()
    target_std: tuple[float, ...] = ()
    class_counts: tuple[int, ...] = ()
    target_min: tuple[float, ...] = ()
    categorical: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Mixed:
    """What the samples of a batch were mixed with.

    targets  as in Batch: those of the second sample of each
    share    of the first sample, in [0, 1]; the second has the rest
    """

    targets: Tensor
    share: float


@dataclass(frozen=True)
class Batch:
    """Some samples on one device.

    inputs   (B, *input_shape), float
    targets  (B,) int64 class numbers, or (B, O) float64 values in their own units
    rows     (B,) int64: the number of each sample in its source, the same in every epoch and split
    mixed    what each sample was mixed with, None where it is as it came
    """

    inputs: Tensor
    targets: Tensor
    rows: Tensor
    mixed: Mixed | None = None

    def __len__(self) -> int:
        return len(self.targets)


class TrainingData(Protocol):
    """Batches of an epoch, from any batch on; the same ones each time, in another order at each attempt."""

    @property
    def num_samples(self) -> int: ...

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class LossOutput:
    """The loss of a batch in one phase.

    value  shape (), the mean over the samples; the gradient flows from here
    parts  what else is worth a column in the log, as a mean over the samples: that mean, shape (), or what is true of
           which sample, shape (B,) bool; detached
    """

    value: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """What a network says of a batch, in the units of the data.

    outputs  (B, C) class probabilities or scores, (B, O) values in the target's own units, or (B, E) embeddings
    targets  (B,) class numbers, or (B, O) values as in Batch
    loss     shape (), the mean loss over the samples, without penalties
    rows     (B,) sample numbers
    further  more values of each sample for the report, by name, such as a quantile: (B, O)
    logits   (B, C) the numbers whose softmax the probabilities are, None where `outputs` are not made of any. They
             keep what probabilities round away: of two classes that float32 calls 1 and 0, how far apart they are
    """

    outputs: Tensor
    targets: Tensor
    loss: Tensor
    rows: Tensor
    further: Mapping[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None

    @property
    def condensed(self) -> Prediction:
        """The same without the probabilities, whose tensor is then (0, C), where the logits hold them."""
        if self.logits is None:
            return self
        return replace(self, outputs=self.outputs.new_empty((0, *self.outputs.shape[1:])))
