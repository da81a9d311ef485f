"""Made-up cases of the doctor about networks: activations, parameters and trials are what a test says they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import (
    Case,
    History,
    IdealLosses,
    LayerMeasure,
    ModeLosses,
    NetworkChange,
    NetworkMeasure,
    ParameterMeasure,
    RunSettings,
    Start,
    Twin,
)
from dlexp.diagnosis.layer_measures import ActivationMeasure, MemoryMeasure
from dlexp.specs import ClassSpec, ValueSpec
from doctor_toys.fit_toys import SETTINGS, network, trace

LOGITS = IdealLosses(probabilities=1.46, scores=0.0, bounded=0.8)  # of cross entropy with ten classes


def seen(
    loss: float = 1.0,
    activations: Sequence[ActivationMeasure] = (),
    parameters: Sequence[ParameterMeasure] = (),
    *,
    losses: ModeLosses | None = None,
    memory: MemoryMeasure | None = None,
    lowest: float = -1.0,
    sums_to_one: float = 0.0,
) -> NetworkMeasure:
    """A network with this training and validation loss."""
    found = network(loss, loss)
    layers = [
        LayerMeasure(name, 1.0)
        for name in dict.fromkeys(one.name.removeprefix("model.").rpartition(".")[0] for one in parameters)
    ]
    return replace(
        found,
        train=replace(found.train, lowest=lowest, sums_to_one=sums_to_one),
        layers=layers,
        activations=activations,
        parameters=parameters,
        losses=losses or found.losses,
        memory=memory,
    )


def relu(dead: int, units: int = 20, **more: Any) -> ActivationMeasure:
    """A rectifier with so many dead units."""
    return ActivationMeasure("act", "relu", "first", units, dead, **more)


def weight(name: str = "model.first.weight", **more: Any) -> ParameterMeasure:
    """A healthy weight that moved, with changes."""
    usual: dict[str, Any] = {"elements": 100, "dimensions": 2, "is_frozen": False, "gradient": 0.1, "size": 1.0}
    return ParameterMeasure(name, **{**usual, "moved": 0.2, **more})


def case(
    start: NetworkMeasure | None = None,
    end: NetworkMeasure | None = None,
    trials: Mapping[str, float | NetworkMeasure | str] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
    values: bool = False,
    updates_lost: int = 0,
    **more: Any,
) -> Case:
    """A case of ten classes, or of one value.

    Args:
        start: Before training.
        end: After it, None for a case before training.
        trials: Words or the name of a change -> loss after the trial, or all of its measures; other trials have a loss
            of 1, as the run itself; a string is why it cannot be trained.
        settings: Keys besides the usual ones.
        options: Group -> option.
        values: Whether the target is a value.
        updates_lost: Updates whose loss is above that of constant outputs.
        more: Fields of the case.
    """
    targets = ValueSpec(("y",), (0.0,), (1.0,)) if values else ClassSpec.numbered(10)
    bundle = cast(DataBundle, SimpleNamespace(spec=SimpleNamespace(targets=targets), splits=more.pop("splits", {})))
    facts = RunSettings(
        options or {"model": "mlp"}, {**SETTINGS, **(settings or {})}, "val/loss", False, 0,
        more.pop("batch_size", 32), 50, 4, 100, more.pop("loss", "CrossEntropy"),
    )  # fmt: skip
    first = replace(trace(100), losses=[100.0] * updates_lost + [0.1] * (100 - updates_lost))
    history = None if end is None else History({"train/loss": [1.0] * 4}, "finished", 4)
    return Case(
        facts, bundle, _twins(trials or {}), start, first, end, first, history, **{"constant_loss": 2.3, **more}
    )


def _twins(trials: Mapping[str, float | NetworkMeasure | str]) -> Callable[..., Twin]:
    def twin(
        *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
    ) -> Twin:
        name = " ".join(words) if change is None else change.name
        found = trials.get(name, 1.0)
        if isinstance(found, str):
            return Twin(words, problem=found)
        measured = found if isinstance(found, NetworkMeasure) else seen(found)
        return Twin(words, trace(50), measured, measured)

    return twin
