"""Which fault brings which other ones with it."""

from __future__ import annotations

from collections.abc import Mapping

from dlexp.diagnosis.verdict import Fault

# What a network looks like that has not learned much, whatever keeps it from learning.
_NOT_LEARNED: tuple[Fault, ...] = ("plateau", "underfitting", "class_collapse", "stopped_too_soon")

# Fault -> faults that it follows from, and that follow from it where it is shown better than each of them. A gradient
# that has vanished leaves units as dead as they began, and dead units pass no gradient; answers of one class come of a
# rate at which nothing is learned, or of weights of classes, whose loss hardly moves at any rate.
TURNED: Mapping[Fault, tuple[Fault, ...]] = {
    "vanishing_gradients": ("dead_units",),
    "class_collapse": ("rate_too_low", "plateau", "underfitting", "stopped_too_soon"),
}

# Fault -> faults that follow from it. No chain of these comes back to where it began; a test holds it to that.
FOLLOWS: Mapping[Fault, tuple[Fault, ...]] = {
    # data
    "inputs_not_normalized": (
        *_NOT_LEARNED,
        "bad_initial_loss",
        "exploding_gradients",
        "rate_too_high",
        "rate_too_low",
        "not_finite",
        "saturated_units",
        "vanishing_gradients",
        "dead_units",
        "overfitting",
        "regularization_too_strong",
    ),
    "targets_not_standardized": (
        *_NOT_LEARNED,
        "bad_initial_loss",
        "exploding_gradients",
        "loss_output_mismatch",
        "rate_too_high",
        "rate_too_low",
        "not_finite",
        "overfitting",
        "regularization_too_strong",
    ),
    "labels_shuffled": (
        *_NOT_LEARNED,
        "label_noise",
        "overfitting",
        "rate_too_low",
        "rate_too_high",
        "regularization_too_strong",
        "augmentation_too_strong",
    ),
    "label_noise": ("overfitting", "underfitting", "plateau"),
    "unshuffled_data": ("class_collapse", "split_shift", "plateau", "overfitting"),
    "split_shift": ("overfitting",),
    "leaking_feature": ("overfitting",),
    "class_imbalance": (*_NOT_LEARNED,),
    # the network
    "loss_output_mismatch": (
        *_NOT_LEARNED,
        "bad_initial_loss",
        "dead_units",
        "rate_too_low",
        "vanishing_gradients",
        "regularization_too_strong",
    ),
    "double_softmax": (
        *_NOT_LEARNED,
        "loss_output_mismatch",
        "rate_too_low",
        "vanishing_gradients",
        "regularization_too_strong",
    ),
    "frozen_parameters": (*_NOT_LEARNED, "unused_parameters", "rate_too_low", "regularization_too_strong"),
    "unused_parameters": (*_NOT_LEARNED,),
    "batch_norm_small_batch": (*_NOT_LEARNED, "overfitting", "regularization_too_strong", "augmentation_too_strong"),
    "fading_memory": (*_NOT_LEARNED, "vanishing_gradients", "regularization_too_strong"),
    "saturated_units": (*_NOT_LEARNED, "vanishing_gradients", "fading_memory", "bad_initial_loss"),
    "dead_units": (*_NOT_LEARNED, "vanishing_gradients", "rate_too_low"),
    "bad_initial_loss": ("stopped_too_soon",),
    # optimization
    "exploding_gradients": (
        *_NOT_LEARNED,
        "bad_initial_loss",
        "not_finite",
        "dead_units",
        "rate_too_low",
        "overfitting",
        "regularization_too_strong",
    ),
    "rate_too_high": (
        *_NOT_LEARNED,
        "exploding_gradients",
        "not_finite",
        "dead_units",
        "saturated_units",
        "vanishing_gradients",
        "overfitting",
    ),
    "vanishing_gradients": (*_NOT_LEARNED, "rate_too_low"),
    "low_precision": (*_NOT_LEARNED, "not_finite", "rate_too_low"),
    "batch_too_large": (
        *_NOT_LEARNED,
        "exploding_gradients",
        "rate_too_low",
        "regularization_too_strong",
        "augmentation_too_strong",
    ),
    "rate_too_low": (*_NOT_LEARNED,),
    "plateau": ("class_collapse", "underfitting", "stopped_too_soon"),
    # the fit
    "regularization_too_strong": (*_NOT_LEARNED, "rate_too_low", "vanishing_gradients", "dead_units"),
    "augmentation_too_strong": (*_NOT_LEARNED, "rate_too_low"),
    "underfitting": ("class_collapse", "stopped_too_soon"),
    "stopped_too_soon": ("class_collapse",),
}
