"""Made-up runs whose losses, gradients and trials are what a test says they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any, cast

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import (
    Case,
    History,
    LayerMeasure,
    ModeLosses,
    NetworkChange,
    NetworkMeasure,
    OutputMeasure,
    ParameterMeasure,
    RunSettings,
    Start,
    Trace,
    Twin,
)

Losses = tuple[float, float]
Rule = Callable[[Case], Any]

START = 2.3
TRACE = Trace([2.3, 2.2, 2.0, 1.5, 1.0] * 4, [1.0] * 20, 0, {"w": 5e-3}, dict.fromkeys("abcdef", 1e-2), 0.3)


def network(losses: Losses, spread: float = 1.0, gradients: Sequence[float] = (), stds: Sequence[float] = ()) -> Any:
    """A network with a training and a validation loss, and gradients and outputs by depth."""
    train, val = (OutputMeasure(100, {"loss": loss}, -1.0, 1.0, 0.0, spread) for loss in losses)
    weights = [ParameterMeasure(f"model.w{i}.weight", 100, 2, False, g, 0.1) for i, g in enumerate(gradients)]
    layers = [LayerMeasure(f"w{i}", s) for i, s in enumerate(stds)]
    return NetworkMeasure(layers, weights, train, val, ModeLosses(losses[0], losses[0], losses[0], 16))


class Made:
    """A run that is made up; `trials` says what words reach, `changed` what changes that no word makes do.

    Every other trial reaches what the run does.
    """

    def __init__(self) -> None:
        self.trials: dict[tuple[str, ...], Losses] = {}
        self.changed: Losses | None = None
        self.changes: list[str] = []
        self.asked: list[tuple[tuple[str, ...], Start, int | None]] = []

    network = staticmethod(network)

    def twin(
        self, *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
    ) -> Twin:
        self.asked.append((words, start, updates))
        losses = self.trials.get(words, self.reached)
        if change is not None:
            losses, self.changes = self.changed or self.reached, [*self.changes, change.name]
        failed = 3 if losses[0] == inf else None
        return Twin(words, replace(TRACE, failed_at=failed), network((START, START)), network(losses))

    def case(
        self,
        reached: Losses | None = (0.1, 0.15),
        *,
        first: Trace = TRACE,
        last: Trace | None = None,
        columns: Mapping[str, Sequence[float]] | None = None,
        ending: str = "finished",
        count: int = 1000,
        updates_per_epoch: int = 20,
        epochs: int = 10,
        batch_size: int = 64,
        spread: float = 1.0,
        start: NetworkMeasure | None = None,
        failed_at: int | None = None,
        options: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Case:
        """The case; keys of settings with __ for dots; `reached` of None is before training."""
        self.reached = reached or (1.0, 1.0)
        own = {"optim.lr": 0.01, "trainer.precision": "auto", **{k.replace("__", "."): v for k, v in settings.items()}}
        facts = RunSettings(
            options or {"scheduler": "cosine"}, own, "val/loss", False, 0, batch_size, updates_per_epoch, epochs, 99, ""
        )
        bundle = cast(DataBundle, SimpleNamespace(splits={"train": range(count)}))
        begin = start or network((START, START))
        if reached is None:
            return Case(facts, bundle, self.twin, begin, first)
        found = columns or {"train/loss": [1.0] * epochs, "val/loss": [reached[1]] * epochs}
        history = History(found, ending, 1, failed_at)
        end = network(reached, spread)
        return Case(facts, bundle, self.twin, begin, first, end, last or first, history)
