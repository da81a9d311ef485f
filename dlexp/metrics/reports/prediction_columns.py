"""The columns of `dlexp predict`, for samples without targets: the same numbers, to the bit, as an evaluation reports.

Symbols: B samples, C classes, O targets, E numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from dlexp.metrics.outputs import softmax
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.types import Prediction

Columns = dict[str, list[Any]]  # name -> B values


@dataclass(frozen=True)
class PredictionColumns:
    """The predictions of some samples, as columns of a table.

    columns  those that are always written
    scores   (B, C) float64 on the CPU: the numbers of each class; None where there are no classes
    meaning  of the scores: p for probabilities, anything else is none
    order    (B, C) numbers that put the classes of a sample in order, None for `scores`: the logits, which differ where
             probabilities are too small to
    rows_each  how many consecutive rows of the columns belong to a sample: 1, or the steps of a forecast
    """

    columns: Mapping[str, list[Any]]
    scores: Tensor | None = None
    meaning: str = ""
    order: Tensor | None = None
    rows_each: int = 1

    def undefined(self) -> list[int]:
        """The samples, in order, of which a number in a column is NaN or infinite, or a score NaN."""
        found = set() if self.scores is None else set(self.scores.isnan().any(dim=1).nonzero().flatten().tolist())
        for column in self.columns.values():
            found |= {
                n // self.rows_each
                for n, value in enumerate(column)
                if isinstance(value, float) and not isfinite(value)
            }
        return sorted(found)

    def without(self, samples: Sequence[int]) -> PredictionColumns:
        """The predictions of the other samples."""
        left = set(samples)
        each = self.rows_each
        columns = {name: [v for n, v in enumerate(c) if n // each not in left] for name, c in self.columns.items()}
        kept = None if self.scores is None else [n for n in range(len(self.scores)) if n not in left]
        return replace(self, columns=columns, scores=None if self.scores is None else self.scores[kept])

    def every(self, names: tuple[str, ...]) -> Columns:
        """The number of every class, a column each; `names` are the C classes. {} where there are no classes."""
        if self.scores is None:
            return {}
        return {f"{self.meaning}({name})": column for name, column in zip(names, self.scores.T.tolist(), strict=True)}

    def top(self, names: tuple[str, ...], count: int) -> Columns:
        """The `count` classes of the largest numbers, the largest first, and their numbers; {} without classes."""
        if self.scores is None:
            return {}
        # A stable sort, so that of equal numbers the first class wins, as it does in `predicted`.
        order = self.scores if self.order is None else self.order
        places = order.sort(dim=1, descending=True, stable=True).indices
        numbers = self.scores.gather(1, places)
        found: Columns = {}
        for place in range(min(count, len(names))):
            found[f"top_{place + 1}"] = [names[number] for number in places[:, place].tolist()]
            found[f"{self.meaning}_{place + 1}"] = numbers[:, place].tolist()
        return found


def prediction_columns(spec: DataSpec, prediction: Prediction) -> PredictionColumns:
    """Classes with their probabilities, values in their own units, or all numbers of outputs of another kind."""
    if isinstance(spec.targets, ClassSpec) and prediction.outputs.shape[1:] == (len(spec.targets.names),):
        return class_columns(spec, prediction, "p")
    if isinstance(spec.targets, ValueSpec) and prediction.outputs.shape[1:] == (len(spec.targets.names),):
        return value_columns(spec, prediction)
    return embedding_columns(prediction, "o")


def class_columns(spec: DataSpec, prediction: Prediction, meaning: str) -> PredictionColumns:
    """The class of the largest of (B, C) numbers; `confidence` is that number where they are probabilities.

    Where there are logits they say the class, and the probabilities are theirs in float64.
    """
    names = spec.output_names
    logits = None if prediction.logits is None else prediction.logits.cpu().double()
    scores = prediction.outputs.cpu().double() if logits is None else torch.from_numpy(softmax(logits.numpy()))
    places = (scores if logits is None else logits).argmax(dim=1, keepdim=True)
    chosen = [names[number] for number in places[:, 0].tolist()]
    sure = {"confidence": scores.gather(1, places)[:, 0].tolist()} if meaning == "p" else {}
    return PredictionColumns({"predicted": chosen, **sure}, scores, meaning, logits)


def value_columns(spec: DataSpec, prediction: Prediction) -> PredictionColumns:
    """The O values, and the extra values of each target, such as quantiles."""
    found = {f"predicted {name}": column for name, column in _each(spec, prediction.outputs)}
    for more, values in prediction.extra.items():
        found |= {f"{more} {name}": column for name, column in _each(spec, values)}
    return PredictionColumns(found)


def embedding_columns(prediction: Prediction, name: str = "e") -> PredictionColumns:
    """The numbers of a sample, such as the E of an embedding: e0, e1, ..."""
    numbers = prediction.outputs.cpu().double().flatten(1).T.tolist()
    return PredictionColumns({f"{name}{n}": column for n, column in enumerate(numbers)})


def _each(spec: DataSpec, values: Tensor) -> list[tuple[str, list[float]]]:
    """(B, O) -> the name and the B values of each target."""
    return list(zip(spec.output_names, values.cpu().double().T.tolist(), strict=True))
