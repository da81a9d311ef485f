"""The built-in metrics by name, with direction, help and parameters. Imports neither torch nor NumPy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TOP = re.compile(r"top_([1-9]\d*)_accuracy")
_AVERAGES = ("macro", "weighted", "micro")


@dataclass(frozen=True)
class MetricEntry:
    """A built-in metric.

    Attributes:
        name: Its name in `metrics=[...]`; `top_K_accuracy` stands for a name with any K.
        direction: max if larger values are better, otherwise min.
        help: What it is, in one line.
        of_one: `only` if it requires a class, as in `recall[yes]`; `also` if it may name one, or a target.
        parameters: Name -> rule, as in `_fields.yaml`. A parameter without `default` is required.
    """

    name: str
    direction: str
    help: str
    of_one: str = ""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_AVERAGED = {
    "precision": "hits / predicted samples",
    "recall": "hits / true samples",
    "f1": "harmonic mean of precision and recall",
    "specificity": "share of the other samples that are not predicted as the class",
}
_KINDS = {
    "macro": "mean over the classes",
    "weighted": "mean weighted by true samples",
    "micro": "all classes together",
}

_OF_CLASSES = (
    MetricEntry("accuracy", "max", "share of correct predictions"),
    MetricEntry("balanced_accuracy", "max", "mean recall of the classes that occur"),
    *(
        MetricEntry(f"{name}_{kind}", "max", f"{what}, {_KINDS[kind]}")
        for name, what in _AVERAGED.items()
        for kind in _AVERAGES
    ),
    *(MetricEntry(name, "max", what, "only") for name, what in _AVERAGED.items()),
    MetricEntry(
        "fbeta",
        "max",
        "F-measure in which recall counts beta times as much as precision",
        "also",
        {
            "beta": {"type": "float", "above": 0, "help": "weight of recall relative to precision"},
            "average": {"type": "str", "choices": _AVERAGES, "default": "macro", "help": "average over the classes"},
        },
    ),
    MetricEntry("cohen_kappa", "max", "agreement above that expected by chance"),
    MetricEntry("matthews_correlation", "max", "correlation of true and predicted classes"),
    MetricEntry("top_K_accuracy", "max", "share of samples whose true class is among the K largest outputs"),
    MetricEntry("roc_auc", "max", "area under the ROC curve", "also"),
    MetricEntry("roc_auc_weighted", "max", "area under the ROC curve, mean weighted by true samples"),
    MetricEntry("average_precision", "max", "area under the precision-recall curve, as a sum", "also"),
    MetricEntry("average_precision_weighted", "max", "average precision, mean weighted by true samples"),
    MetricEntry("log_loss", "min", "mean of -ln p of the true class"),
    MetricEntry("brier", "min", "mean squared distance of the probabilities to the truth"),
    MetricEntry("calibration_error", "min", "expected calibration error, 15 bins"),
    MetricEntry(
        "cost",
        "min",
        "mean cost of a prediction by a matrix of costs",
        "",
        {"matrix": {"type": "matrix", "help": "a row per true class, a column per predicted class, in class order"}},
    ),
)
_OF_VALUES = (
    MetricEntry("mae", "min", "mean absolute error", "also"),
    MetricEntry("rmse", "min", "root of the mean squared error", "also"),
    MetricEntry("r2", "max", "share of the variance that is explained", "also"),
    MetricEntry("mse", "min", "mean squared error", "also"),
    MetricEntry("median_absolute_error", "min", "median of the absolute errors", "also"),
    MetricEntry("max_error", "min", "largest absolute error", "also"),
    MetricEntry("mape", "min", "mean absolute error as a share of the target", "also"),
    MetricEntry("explained_variance", "max", "r2 without the cost of a constant bias", "also"),
    MetricEntry("rmsle", "min", "root of the mean squared difference of ln(1 + value)", "also"),
    MetricEntry(
        "quantile_loss",
        "min",
        "mean pinball loss of the quantile q",
        "also",
        {"q": {"type": "float", "above": 0, "below": 1, "help": "level of the quantile"}},
    ),
    MetricEntry(
        "within",
        "max",
        "share of predictions with an absolute error of at most the tolerance",
        "also",
        {"tolerance": {"type": "float", "min": 0, "help": "largest accepted error, in the unit of the target"}},
    ),
)
# Kind of outputs of a task (`_outputs_`) -> its built-in metrics by name.
CATALOG: Mapping[str, Mapping[str, MetricEntry]] = {
    "scores": {entry.name: entry for entry in _OF_CLASSES},
    "values": {entry.name: entry for entry in _OF_VALUES},
}


def entry_of(name: str, outputs: str) -> MetricEntry | None:
    """Return the built-in metric `name` of a task with these outputs, None if there is none."""
    known = CATALOG.get(outputs, {})
    return known.get("top_K_accuracy" if top_k(name) else name)


def top_k(name: str) -> int:
    """Return K of `top_K_accuracy`, 0 for any other name."""
    found = _TOP.fullmatch(name)
    return int(found[1]) if found else 0
