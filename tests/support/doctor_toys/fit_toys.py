"""Made-up cases of the doctor: losses, recalls and trials are what a test says they are.

Symbols: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import (
    Case,
    History,
    ModeLosses,
    NetworkChange,
    NetworkMeasure,
    OutputMeasure,
    RunSettings,
    Start,
    Trace,
    Twin,
)
from dlexp.specs import ClassSpec, ImageSpec, ValueSpec

SETTINGS: Mapping[str, Any] = {
    "optim.lr": 1e-3,
    "optim.weight_decay": 0.01,
    "model.hidden": [16],
    "model.dropout": 0.2,
    "data.augment": "none",
    "data.balance": "none",
    "trainer.epochs": 20,
}


def outputs(
    loss: float, *, count: int = 200, recalls: Sequence[float] = (), shares: Sequence[float] = (), spread: float = 0.3
) -> OutputMeasure:
    """Outputs of N samples whose losses have the mean `loss`, and a relative spread around it."""
    noise = np.random.default_rng(0).lognormal(0.0, spread, count)
    losses = (loss * noise / noise.mean()).tolist()
    given = list(shares) or [0.25] * 4
    found = list(recalls) or [0.9] * len(given)
    predicted = [share * recall for share, recall in zip(given, found, strict=True)]
    predicted[int(np.argmax(found))] += 1.0 - sum(predicted)
    return OutputMeasure(count, {"loss": loss}, -1.0, 1.0, 0.0, 1.0, given, predicted, found, losses)


def network(train: OutputMeasure | float, val: OutputMeasure | float) -> NetworkMeasure:
    """A network with these outputs, or losses."""
    train, val = (one if isinstance(one, OutputMeasure) else outputs(one) for one in (train, val))
    return NetworkMeasure((), (), train, val, ModeLosses(1.0, 1.0, 1.0, 64))


def trace(updates: int = 200, epochs: Sequence[float] = ()) -> Trace:
    """Updates, with the validation losses of their epochs."""
    return Trace([1.0] * updates, [1.0] * updates, 0, {}, {}, 0.5, epochs=[{"val/loss": one} for one in epochs])


Trained = Mapping[Any, NetworkMeasure | str]  # words, a tuple -> what they reach, or why they cannot be trained


class ToyTwins:
    """Trials by their words; what no test names changes nothing.

    Attributes:
        asked: Words and start of every trial, in order.
    """

    def __init__(self, own: NetworkMeasure, made: Trained) -> None:
        self.asked: list[tuple[tuple[str, ...], Start]] = []
        self._own, self._made = own, made

    def __call__(
        self, *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
    ) -> Twin:
        self.asked.append((words, start))
        found = self._made.get(words, self._own)
        if isinstance(found, str):
            return Twin(words, problem=found)
        return Twin(words, trace(epochs=[found.val.metrics["loss"]] * 3), None, found)


def case_of(
    end: NetworkMeasure | None,
    made: Trained | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    val_losses: Sequence[float] = (),
    train_losses: Sequence[float] = (),
    updates: int = 200,
    watched: int = 200,
    is_classes: bool = True,
) -> Case:
    """A case whose network ends as `end`, and with other words as `made` says."""
    names = ("a", "b", "c", "d")
    targets = ClassSpec(names) if is_classes else ValueSpec(("y",), (0.0,), (1.0,))
    bundle = cast(DataBundle, SimpleNamespace(spec=SimpleNamespace(targets=targets, inputs=ImageSpec(1, 8, 8))))
    facts = RunSettings(
        {"model": "mlp", "optim": "adamw"},
        {**SETTINGS, **(settings or {})},
        "val/loss",
        False,
        0,
        64,
        updates // 20,
        20,
        1000,
        "CrossEntropyLoss",
    )
    columns = {"val/loss": list(val_losses), "train/loss": list(train_losses)}
    epochs = [value for value in val_losses if np.isfinite(value)]
    history = History(columns, "finished", int(np.argmin(epochs)) + 1 if epochs else 0) if val_losses else None
    own = end or network(1.3, 1.3)
    return Case(facts, bundle, ToyTwins(own, made or {}), own, trace(watched), end, None, history)
