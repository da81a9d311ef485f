"""The section regularization.*: what keeps a network from learning its training data by heart."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlexp.config.schema.fields import key_field


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """When to stop before the last epoch."""

    patience: int | None = key_field(
        None,
        "int",
        "epochs without improvement of the monitored metric before training stops; null never stops",
        min=1,
        nullable=True,
    )
    min_delta: float = key_field(
        0.0, "float", "how much better counts as an improvement, in the metric's own units", min=0
    )


@dataclass(frozen=True)
class EmaConfig:
    """An exponential moving average of the weights, judged and kept in their place."""

    decay: float | None = key_field(
        None,
        "float",
        "share of the average that stays in an update, such as 0.999; less at first, so that short runs do not suffer; "
        "null keeps no average",
        min=0,
        below=1,
        nullable=True,
    )


@dataclass(frozen=True)
class SwaConfig:
    """The plain mean of the weights of the last epochs, judged and kept in their place."""

    start_epoch: int | None = key_field(
        None, "int", "first epoch, counted from 1, whose weights are taken in; null keeps no mean", min=1, nullable=True
    )
    lr: float | None = key_field(
        None,
        "float",
        "constant learning rate from that epoch on; null follows the schedule",
        above=0,
        nullable=True,
    )


@dataclass(frozen=True)
class RegularizationConfig:
    """What keeps a network from learning its training data by heart (weight decay is in `optim`)."""

    dropout: float | None = key_field(
        None,
        "float",
        "dropout of the model, whichever it is; null leaves model.dropout as it is",
        min=0,
        below=1,
        nullable=True,
    )
    label_smoothing: float | None = key_field(
        None,
        "float",
        "label smoothing of the loss; null leaves loss.label_smoothing as it is",
        min=0,
        below=1,
        nullable=True,
    )
    l1: float = key_field(
        0.0, "float", "l1 * sum(|w|) over the weights, norms and biases left out, is added to the loss", min=0
    )
    l2: float = key_field(
        0.0, "float", "l2 * sum(w^2) over the weights, norms and biases left out, is added to the loss", min=0
    )
    mixup: float = key_field(
        0.0,
        "float",
        "mix training samples two by two, in shares drawn from Beta(mixup, mixup), such as 0.2; 0 mixes none",
        min=0,
    )
    cutmix: float = key_field(
        0.0,
        "float",
        "put a rectangle of one training image into another, its share drawn from Beta(cutmix, cutmix), such as 1; "
        "with mixup too, each batch takes one of the two; 0 for never",
        min=0,
    )
    mix_probability: float = key_field(
        1.0, "float", "chance that a batch is mixed, where mixup or cutmix is on", above=0, max=1
    )
    random_erasing: float = key_field(
        0.0, "float", "chance that a rectangle of a training image is erased", min=0, max=1
    )
    max_norm: float | None = key_field(
        None,
        "float",
        "largest norm of the weights into a unit, kept after every update, such as 3; null for no limit",
        above=0,
        nullable=True,
    )
    gradient_noise: float = key_field(
        0.0,
        "float",
        "Gaussian noise of variance gradient_noise / (1 + t)^0.55 on the gradient of update t, such as 0.01",
        min=0,
    )
    ema: EmaConfig = field(default_factory=EmaConfig)
    swa: SwaConfig = field(default_factory=SwaConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
