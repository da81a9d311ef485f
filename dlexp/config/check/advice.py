"""Advice on valid configurations that usually train badly. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlexp.config.check.data_keys import OWN_WEIGHTS
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.names import PREFERS
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown

_SATURATE = ("sigmoid", "tanh", "softmax", "log_softmax", "step")
_NUMPY = "dlexp.models.scratch.sequences.numpy_"
_RECURRENT = ("dlexp.models.recurrent.", f"{_NUMPY}rnn", f"{_NUMPY}lstm")
_DEEP = 6  # layers in sequence from which a plain network becomes hard to train
_FAST = 10.0  # multiple of the default learning rate of an optimizer
_FASTEST_ADAM = 0.02  # learning rates above it suit SGD, not Adam
_IMBALANCED = 10.0  # samples of the most frequent class for each sample of the rarest


def advice(config: RunConfig) -> Iterator[str]:
    """Yield advice on a configuration, one sentence for each setting."""
    tree = config.tree
    yield from _of_model(tree["model"])
    yield from _of_rate(tree["optim"], _preferred_rate(tree) or _usual_rate(config.optim.option))
    if tree["data"].get("standardize") is False:
        yield "data.standardize=false: features of different scales are learned at different rates"
    epochs, patience = tree["trainer"]["epochs"], tree["regularization"]["early_stopping"]["patience"]
    if patience is not None and patience >= epochs:
        yield f"regularization.early_stopping.patience={patience} has no effect with trainer.epochs={epochs}"
    if (monitor := tree["trainer"]["monitor"]) is not None and monitor.startswith("train/"):
        yield (
            f"trainer.monitor={monitor} picks the epoch that fits the training data best, so overfitting goes unseen. "
            f"Add trainer.monitor={monitor.replace('train/', 'val/', 1)}"
        )
    yield from _of_schedule(tree["scheduler"], epochs)
    yield from _of_recurrence(tree)


def _of_recurrence(tree: Mapping[str, Any]) -> Iterator[str]:
    """Advice on a recurrent network, whose gradient is a product over all steps."""
    model, trainer = tree["model"], tree["trainer"]
    if not str(model.get("_target_")).startswith(_RECURRENT):
        return
    if trainer["clip_norm"] is None and trainer["gradient_norm"] is None:
        yield (
            "trainer.clip_norm=null: the gradient of a recurrent network is a product over all steps and can explode. "
            "Set trainer.clip_norm=5"
        )
    if model.get("layers") == 1 and model.get("dropout", 0) > 0:
        yield (
            f"model.dropout={shown(model['dropout'])} is between layers and has no effect with model.layers=1. Set "
            "model.output_dropout"
        )


def _of_schedule(scheduler: Mapping[str, Any], epochs: int) -> Iterator[str]:
    """Advice on a schedule whose first change is after the last epoch."""
    if scheduler.get("unit", "epochs") != "epochs":
        return
    milestones = scheduler.get("milestones")
    first = {"milestones": min(milestones) if isinstance(milestones, list | tuple) and milestones else None}
    first |= {key: scheduler.get(key) for key in ("step_size", "patience")}
    for key, epoch in first.items():
        if isinstance(epoch, int) and epoch >= epochs:
            shown_value = shown(scheduler[key])
            yield f"scheduler.{key}={shown_value} has no effect with trainer.epochs={epochs}: the rate never decreases"


def advice_on_classes(
    counts: Sequence[int], names: Sequence[str], loss: Mapping[str, Any], balance: str
) -> Iterator[str]:
    """Yield advice on imbalanced classes.

    Args:
        counts: Training samples of each class, (K,).
        names: Names of the classes, (K,).
        loss: Arguments of the loss.
        balance: data.balance.
    """
    remedy = balance_remedy(loss, balance)
    if not remedy or not counts or not min(counts) or max(counts) < _IMBALANCED * min(counts):
        return
    most, least = (names[list(counts).index(extreme(counts))] for extreme in (max, min))
    found = f"class {most!r} has {max(counts):,} training samples and class {least!r} {min(counts):,}"
    yield f"{found}. Set {remedy} to let all classes count alike, and compare balanced_accuracy."


def balance_remedy(loss: Mapping[str, Any], balance: str) -> str:
    """Return the setting that balances classes, "" where one does already.

    Args:
        loss: Arguments of the loss.
        balance: data.balance.
    """
    if balance != "none" or any(loss.get(key) is not None for key in OWN_WEIGHTS):
        return ""
    return f"data.balance={'weights' if 'class_weights' in loss else 'sampling'}"


def _of_model(model: Mapping[str, Any]) -> Iterator[str]:
    activation = model.get("activation")
    if activation in _SATURATE:
        yield (
            f"model.activation={activation} saturates, so gradients shrink from layer to layer. Use relu, gelu or silu "
            "in hidden layers."
        )
    layers = model.get("depth") if "vgg" in str(model.get("_target_")) else len(model.get("hidden") or ())
    if model.get("norm") == "none" and isinstance(layers, int) and layers >= _DEEP and activation != "selu":
        yield (
            f"model.norm=none in {layers} layers without shortcuts: the first layers learn slowly. Set "
            "model.norm=batch, or use a network with shortcuts, such as model=resnet18"
        )


def _preferred_rate(tree: Mapping[str, Any]) -> float | None:
    """Return the learning rate that the model prefers, None for none."""
    found = (tree["model"].get(PREFERS) or {}).get("optim.lr")
    return float(found) if isinstance(found, int | float) else None


def _usual_rate(option: str) -> float | None:
    """Return the default learning rate of a built-in optimizer, None for other options."""
    catalog = Catalog()
    leaf = catalog.keys("optim", option).get("lr") if option in catalog.options("optim") else None
    return None if leaf is None else float(leaf.text)


def _of_rate(optim: Mapping[str, Any], usual_lr: float | None) -> Iterator[str]:
    rate = optim.get("lr")
    if not isinstance(rate, int | float):  # auto, or none
        return
    if usual_lr is not None and rate > _FAST * usual_lr:
        times = f"optim.lr={shown(rate)} is {rate / usual_lr:.0f} times the default {usual_lr:g}"
        yield f"{times}. Find the rate at which training diverges with dlexp lr-find"
    elif optim.get("base") == "adamw" and rate > _FASTEST_ADAM:
        yield f"optim.lr={shown(rate)} is a learning rate for SGD. With optim.base=adamw use 0.002 to 0.004"
