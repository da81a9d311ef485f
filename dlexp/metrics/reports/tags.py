"""The report of tags: metrics with intervals over sequences, each sequence, each kind of entity, and the confusions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlexp.metrics.bootstrap import Interval, Resampling, report_intervals
from dlexp.metrics.reports.figures import ConfusionMatrix, Figure
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.tokens.tags import ENTITY_METRICS, SequenceCounts, TagState

_HEADER = ("row", "positions", "accuracy", "entities", "predicted_entities", "right_entities")
_CONFUSION = "True tags (rows) and predicted tags (columns) of the positions of the {split} split."
_KINDS = "Entities of each kind on the {split} split: an entity is right if its kind and both ends are."
_UNDEFINED = {
    "entity_precision": "no entity was predicted",
    "entity_recall": "the split has no entity",
    "entity_f1": "there is neither a true nor a predicted entity",
}


@dataclass(frozen=True)
class _Rows:
    """A row of counts for each sequence."""

    indices: Any
    counts: SequenceCounts

    def __iter__(self) -> Iterator[list[Any]]:
        for number, positions, hits, *entities in zip(self.indices, *vars(self.counts).values(), strict=True):
            found, true, both = map(int, entities)
            yield [int(number), int(positions), float(hits / max(positions, 1)), true, found, both]


def tag_report(names: tuple[str, ...], state: TagState, resampling: Resampling | None = None) -> Report:
    """The report of every sequence.

    Args:
        names: Of the C tags.
        state: Holds at least one sequence.
        resampling: How intervals are made; None makes none.
    """
    counts, indices = state.counts(), state.indices()
    plain = {name: float(v[0]) for name, v in counts.statistic(np.ones((1, len(indices)))).items()}
    if not state.entities:
        plain = {name: value for name, value in plain.items() if name not in ENTITY_METRICS}
    missing = [name for name, value in plain.items() if not np.isfinite(value)]
    found = report_intervals(counts.statistic, len(indices), resampling)
    sure = {name: _widened(each, plain[name]) for name, each in found.items() if name in plain}
    shown: dict[str, float | None] = {name: None if name in missing else value for name, value in plain.items()}
    cells = [(int(t), int(p), int(state.pairs[t, p])) for t, p in np.argwhere(state.pairs)]
    figures: dict[str, Figure] = {"confusion": ConfusionMatrix(_CONFUSION, cells, list(names))}
    tables = {"predictions": Table(_HEADER, _Rows(indices, counts))}
    if state.entities:
        rows = [[kind, *some, *_scores(*some)] for kind, *some in state.kinds()]
        header = ("kind", "true", "predicted", "right", "precision", "recall", "f1")
        tables["per_kind"] = Table(header, rows, _KINDS, ("kind",))
    return Report(
        {"loss": state.compute()["loss"], **shown},
        {name: _UNDEFINED.get(name, "the split has no position") for name in missing},
        {name: each for name, each in sure.items() if name not in missing},
        tables,
        figures,
    )


def _scores(true: int, found: int, both: int) -> tuple[float | str, float | str, float]:
    """Precision, recall and F1 of a kind; "" for one that has none."""
    return both / found if found else "", both / true if true else "", 2 * both / (true + found)


def _widened(found: Interval, value: float) -> Interval:
    """Of a share of 0 or 1 there is nothing to draw: no interval, and why."""
    if value in (0.0, 1.0):
        return replace(found, low=None, high=None, reason="every sequence has the same share, so none can be drawn")
    return found
