"""What experience says against a configuration that is allowed: notes, told once, never in the way; without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown

_SATURATE = ("sigmoid", "tanh", "softmax", "log_softmax", "step")
_DEEP = 6  # layers one after the other, from which on a plain network is hard to train
_FAST = 10.0  # times the rate that an optimizer has by default
_FASTEST_ADAM = 0.02
_UNEVEN = 10.0  # samples of the most frequent class for each of the rarest


def advice(config: RunConfig) -> Iterator[str]:
    """Sentences about a configuration."""
    tree = config.tree
    yield from _of_model(tree["model"])
    yield from _of_rate(tree["optim"], _usual_rate(config.optim.option))
    if tree["data"].get("standardize") is False:
        yield "data.standardize=false: features of very different sizes are learned at very different rates"
    epochs, patience = tree["trainer"]["epochs"], tree["regularization"]["early_stopping"]["patience"]
    if patience is not None and patience >= epochs:
        yield f"regularization.early_stopping.patience={patience} cannot stop a run of trainer.epochs={epochs}"


def advice_on_classes(counts: Sequence[int], names: Sequence[str], loss: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about training samples of each class (K,), and the loss that is to learn them.

    loss  the arguments of the loss
    """
    if not counts or not min(counts) or max(counts) < _UNEVEN * min(counts) or loss.get("class_weights", 0) is not None:
        return
    most, least = (names[list(counts).index(extreme(counts))] for extreme in (max, min))
    found = f"class {most!r} has {max(counts):,} training samples and class {least!r} {min(counts):,}"
    yield f"{found}: loss.class_weights=balanced weighs them alike, and accuracy says little; look at balanced_accuracy"


def _of_model(model: Mapping[str, Any]) -> Iterator[str]:
    activation = model.get("activation")
    if activation in _SATURATE:
        yield (
            f"model.activation={activation} saturates, and gradients shrink from layer to layer: relu, gelu or silu "
            "learn faster in hidden layers"
        )
    layers = model.get("depth") if "vgg" in str(model.get("_target_")) else len(model.get("hidden") or ())
    if model.get("norm") == "none" and isinstance(layers, int) and layers >= _DEEP and activation != "selu":
        yield (
            f"model.norm=none in {layers} layers without shortcuts: the first learn slowly; model.norm=batch helps, "
            "or shortcuts, as in model=resnet18"
        )


def _usual_rate(option: str) -> float | None:
    """The default learning rate of an optimizer of dlexp's own, None for others."""
    catalog = Catalog()
    leaf = catalog.keys("optim", option).get("lr") if option in catalog.options("optim") else None
    return None if leaf is None else float(leaf.text)


def _of_rate(optim: Mapping[str, Any], usual_lr: float | None) -> Iterator[str]:
    rate = optim.get("lr")
    if not isinstance(rate, int | float):  # auto, or none
        return
    if usual_lr is not None and rate > _FAST * usual_lr:
        times = f"optim.lr={shown(rate)} is {rate / usual_lr:.0f} times the usual {usual_lr:g}"
        yield f"{times}: dlexp lr-find tells where it diverges"
    elif optim.get("base") == "adamw" and rate > _FASTEST_ADAM:
        yield f"optim.lr={shown(rate)} is a rate for sgd; with optim.base=adamw 0.002 to 0.004 is usual"
