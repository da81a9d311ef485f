"""The metrics of an evaluation report, computed by torchmetrics from the predictions.

Symbols: N samples, C classes, O targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dlexp.types import DataSpec, Prediction


@dataclass(frozen=True)
class Report:
    """What is written of an evaluation.

    averages    name -> value or group of values, for report.json
    per_class   rows of (class, precision, recall, f1, support)
    confusion   C rows (true) of C counts (predicted)
    """

    averages: dict[str, Any]
    prediction_header: list[str]
    prediction_rows: list[list[Any]]
    per_class: list[list[Any]] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)

    def confusion_rows(self, names: Sequence[str]) -> list[list[Any]]:
        """The confusion matrix with the true class in front of each row."""
        return [[name, *row] for name, row in zip(names, self.confusion, strict=True)]

    def columns(self, output: int) -> tuple[list[float], list[float]]:
        """(true, predicted) values of one output."""
        return [row[1 + 2 * output] for row in self.prediction_rows], [
            row[2 + 2 * output] for row in self.prediction_rows
        ]


def report(spec: DataSpec, predictions: Sequence[Prediction]) -> Report:
    """The report over all `predictions`, at least one: probabilities of classes, or values."""
    return class_report(spec, predictions) if spec.targets == "class" else value_report(spec, predictions)


def class_report(spec: DataSpec, predictions: Sequence[Prediction], meaning: str = "p") -> Report:
    """The report of (N, C) numbers whose largest says the class.

    meaning  what they are, and how their columns are headed: p for probabilities; anything else, such as score or
             vote, is none, and gets neither a log loss nor a confidence
    """
    outputs, targets, rows = _joined(predictions)
    return _classes(spec, outputs.double(), targets, rows, meaning)


def value_report(spec: DataSpec, predictions: Sequence[Prediction]) -> Report:
    """The report of (N, O) values, and of the further values of each target, such as quantiles."""
    outputs, targets, rows = _joined(predictions)
    names = predictions[0].further
    further = {name: torch.cat([p.further[name] for p in predictions]).double().cpu() for name in names}
    return _values(spec, outputs.double(), targets.double(), rows, further)


def _joined(predictions: Sequence[Prediction]) -> tuple[Tensor, Tensor, Tensor]:
    """(outputs, targets, rows) of all samples."""
    outputs = torch.cat([p.outputs for p in predictions]).cpu()
    targets = torch.cat([p.targets for p in predictions]).cpu()
    return outputs, targets, torch.cat([p.rows for p in predictions]).cpu()


def _classes(spec: DataSpec, outputs: Tensor, targets: Tensor, rows: Tensor, meaning: str) -> Report:
    """outputs (N, C), targets (N,), rows (N,)."""
    from torchmetrics.functional import classification as tm

    num_classes, names = spec.num_outputs, spec.class_names
    predicted = outputs.argmax(dim=1)
    kinds = {"precision": tm.multiclass_precision, "recall": tm.multiclass_recall, "f1": tm.multiclass_f1_score}
    averaged = {
        average: {name: float(f(predicted, targets, num_classes, average=average)) for name, f in kinds.items()}
        for average in ("macro", "weighted")
    }
    each = [f(predicted, targets, num_classes, average="none").tolist() for f in kinds.values()]
    support = torch.bincount(targets, minlength=num_classes).tolist()
    per_class = [list(row) for row in zip(names, *each, support, strict=True)]
    confusion = tm.multiclass_confusion_matrix(predicted, targets, num_classes).tolist()
    averages: dict[str, Any] = {
        "accuracy": float(tm.multiclass_accuracy(predicted, targets, num_classes, average="micro")),
        **({"log_loss": _log_loss(outputs, targets)} if meaning == "p" else {}),
        **averaged,
    }
    confidence = ["confidence"] if meaning == "p" else []
    header = ["row", "true", "predicted", *confidence, *(f"{meaning}({name})" for name in names)]
    lines = [
        [int(row), names[true], names[guess], *([max(numbers)] if confidence else []), *numbers]
        for row, true, guess, numbers in zip(
            rows.tolist(), targets.tolist(), predicted.tolist(), outputs.tolist(), strict=True
        )
    ]
    return Report(averages, header, lines, per_class, confusion)


def _log_loss(probabilities: Tensor, targets: Tensor) -> float:
    chosen = probabilities.gather(1, targets[:, None]).clamp_min(torch.finfo(torch.float32).tiny)
    return float(-chosen.log().mean())


def _values(spec: DataSpec, outputs: Tensor, targets: Tensor, rows: Tensor, further: Mapping[str, Tensor]) -> Report:
    """outputs (N, O), targets (N, O), rows (N,), further (N, O) each."""
    from torchmetrics.functional import regression as tm

    per_output = {
        name: {
            "mae": float(tm.mean_absolute_error(outputs[:, n], targets[:, n])),
            "rmse": float(tm.mean_squared_error(outputs[:, n], targets[:, n], squared=False)),
            "r2": _r2(outputs[:, n], targets[:, n]),
            **{f"share_below_{more}": _share_below(targets[:, n], bound[:, n]) for more, bound in further.items()},
        }
        for n, name in enumerate(spec.target_names)
    }
    header = ["row"] + [f"{kind} {name}" for name in spec.target_names for kind in ("true", "predicted")]
    header += [f"{more} {name}" for more in further for name in spec.target_names]
    more_values = torch.cat([rows[:, None].double()[:, :0], *further.values()], dim=1)
    lines = [
        [int(row), *(value for pair in zip(true, guess, strict=True) for value in pair), *more]
        for row, true, guess, more in zip(
            rows.tolist(), targets.tolist(), outputs.tolist(), more_values.tolist(), strict=True
        )
    ]
    return Report({"per_output": per_output}, header, lines)


def _share_below(targets: Tensor, bound: Tensor) -> float:
    return float((targets <= bound).double().mean())


def _r2(outputs: Tensor, targets: Tensor) -> float:
    """1 - squared error / spread, for one output; torchmetrics' own takes any sum of squares below 1e-4 for zero.

    As in states.py, targets that are all the same give 0, or 1 when they are predicted exactly.
    """
    squared, spread = (outputs - targets).square().sum(), (targets - targets.mean()).square().sum()
    same = spread <= 1e-12 * targets.square().sum()
    return float(squared == 0) if same else float(1 - squared / spread)
