"""The section regularization.*: settings that reduce overfitting."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlexp.config.schema.fields import key_field


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """Early stopping of training."""

    patience: int | None = key_field(
        None,
        "int",
        "epochs without improvement of the monitored metric after which training stops; null: never",
        min=1,
        nullable=True,
    )
    min_delta: float = key_field(
        0.0, "float", "smallest change that counts as an improvement, in units of the metric", min=0
    )


@dataclass(frozen=True)
class EmaConfig:
    """Exponential moving average of the weights, which is evaluated and saved instead of them."""

    decay: float | None = key_field(
        None,
        "float",
        "decay of the exponential moving average per update, such as 0.999; smaller early in a run; null: no average",
        min=0,
        below=1,
        nullable=True,
    )


@dataclass(frozen=True)
class SwaConfig:
    """Stochastic weight averaging: the mean of the weights of the last epochs, evaluated and saved instead of them."""

    start_epoch: int | None = key_field(
        None,
        "int",
        "first epoch of stochastic weight averaging, counted from 1; null: no average",
        min=1,
        nullable=True,
    )
    lr: float | None = key_field(
        None,
        "float",
        "constant learning rate from start_epoch on; null: the schedule continues",
        above=0,
        nullable=True,
    )


@dataclass(frozen=True)
class RegularizationConfig:
    """Settings that reduce overfitting; weight decay is a key of `optim`."""

    dropout: float | None = key_field(
        None,
        "float",
        "dropout probability of any model, sets model.dropout; null: model.dropout is unchanged",
        min=0,
        below=1,
        nullable=True,
    )
    label_smoothing: float | None = key_field(
        None,
        "float",
        "label smoothing of any loss, sets loss.label_smoothing; null: loss.label_smoothing is unchanged",
        min=0,
        below=1,
        nullable=True,
    )
    l1: float = key_field(
        0.0,
        "float",
        "factor of the L1 penalty sum(|w|) that is added to the loss; normalization layers and biases are excluded",
        min=0,
    )
    l2: float = key_field(
        0.0,
        "float",
        "factor of the L2 penalty sum(w^2) that is added to the loss; normalization layers and biases are excluded",
        min=0,
    )
    mixup: float = key_field(
        0.0,
        "float",
        "parameter a of MixUp: training samples are mixed in pairs with weights from Beta(a, a), such as 0.2; 0: off",
        min=0,
    )
    cutmix: float = key_field(
        0.0,
        "float",
        "parameter a of CutMix: a rectangle of one training image replaces that of another, with an area drawn from "
        "Beta(a, a), such as 1; with mixup as well, each batch uses one of the two; 0: off",
        min=0,
    )
    mix_probability: float = key_field(
        1.0, "float", "probability that a batch is mixed, with mixup or cutmix", above=0, max=1
    )
    random_erasing: float = key_field(
        0.0, "float", "probability that a rectangle of a training image is erased", min=0, max=1
    )
    max_norm: float | None = key_field(
        None,
        "float",
        "largest Euclidean norm of the weights into a unit, enforced after every update, such as 3; null: no limit",
        above=0,
        nullable=True,
    )
    gradient_noise: float = key_field(
        0.0,
        "float",
        "n in the variance n / (1 + t)^0.55 of Gaussian noise added to the gradient of update t, such as 0.01; 0: off",
        min=0,
    )
    ema: EmaConfig = field(default_factory=EmaConfig)
    swa: SwaConfig = field(default_factory=SwaConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
