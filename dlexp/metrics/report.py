"""What an evaluation writes down: every metric with its interval, each class, each sample.

The definitions are in classes.py, ranking.py, calibration.py and values.py, as functions of how often each sample
counts: once for the metric itself, and a thousand resamples in one go for its interval. A test holds each of them to
scikit-learn's.

Symbols: N samples, C classes, O targets, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from dlexp.metrics import calibration
from dlexp.metrics.bootstrap import Floats, Interval, Resampling, Statistic
from dlexp.metrics.class_samples import ClassSamples
from dlexp.metrics.confusion import Numbers
from dlexp.metrics.intervals.classes import class_intervals, each_class
from dlexp.metrics.intervals.values import value_intervals
from dlexp.metrics.outputs import ClassOutputs, Form
from dlexp.metrics.prediction_rows import MOST_CLASSES, TOP, ClassRows
from dlexp.metrics.ranking import Curve
from dlexp.metrics.regression import ValueSamples
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.types import Prediction

_MOST_CURVES = 10  # in one picture
_WITH_INTERVAL = ("precision", "recall", "f1")
PER_CLASS = (
    *("class", "precision", "recall", "f1", "support", "predicted", "specificity", "roc_auc", "average_precision"),
    *(f"{name}_{end}" for name in _WITH_INTERVAL for end in ("low", "high")),
)


@dataclass(frozen=True)
class Guesses:
    """What was said of the classes of N samples.

    meaning         what the numbers are, such as p
    rows            N sample numbers
    true, guessed   (N,) class numbers
    own, largest    (N,) the number of the true class, and of the guessed one
    """

    meaning: str
    rows: Sequence[int]
    true: Numbers
    guessed: Numbers
    own: Floats
    largest: Floats


@dataclass(frozen=True)
class Report:
    """What is written of an evaluation.

    scores      metric -> value, None where it is undefined
    undefined   metric -> why it is, for each None among the scores
    intervals   metric -> interval, for the scores that have a value; empty where none were asked for
    losses      (N,) how wrong each sample is, in the order of `prediction_rows`
    prediction_rows  a line a sample; may be read again and again
    per_class   a row of `PER_CLASS` for each class
    cells       of classes: (true, predicted, samples) of each cell of the confusion matrix that is not 0
    per_output  target -> metric -> value
    reliability bins of confidence, in order, where there are probabilities
    curves      class -> its curves of ranking, of at most ten classes: those with the smallest areas
    mistakes    of classes: what was said of each sample
    notes       what was left out, a sentence each
    """

    scores: dict[str, float | None]
    undefined: dict[str, str]
    intervals: dict[str, Interval]
    prediction_header: list[str]
    prediction_rows: Iterable[list[Any]]
    losses: Floats
    mistakes: Guesses | None = None
    per_class: list[list[Any]] = field(default_factory=list)
    cells: list[tuple[int, int, int]] = field(default_factory=list)
    per_output: dict[str, dict[str, float | None]] = field(default_factory=dict)
    reliability: list[calibration.Bin] = field(default_factory=list)
    curves: dict[int, Curve] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def confusion(self) -> list[list[int]]:
        """C rows (true) of C counts (predicted); with very many classes `cells` is what fits into memory."""
        whole = np.zeros((len(self.per_class),) * 2, dtype=np.int64)
        for true, predicted, samples in self.cells:
            whole[true, predicted] = samples
        found: list[list[int]] = whole.tolist()
        return found

    def confusion_rows(self, names: Sequence[str]) -> list[list[Any]]:
        """The confusion matrix with the true class in front of each row."""
        return [[name, *row] for name, row in zip(names, self.confusion, strict=True)]

    def columns(self, output: int) -> tuple[list[float], list[float]]:
        """(true, predicted) values of one output."""
        pairs = [(row[1 + 2 * output], row[2 + 2 * output]) for row in self.prediction_rows]
        return [true for true, _ in pairs], [predicted for _, predicted in pairs]


def report(spec: DataSpec, predictions: Sequence[Prediction], resampling: Resampling | None = None) -> Report:
    """The report over all `predictions`, at least one: probabilities of classes, or values."""
    if isinstance(spec.targets, ClassSpec):
        return class_report(spec, predictions, resampling=resampling)
    return value_report(spec, predictions, resampling)


def class_report(
    spec: DataSpec, predictions: Sequence[Prediction], meaning: str = "p", resampling: Resampling | None = None
) -> Report:
    """The report of (N, C) numbers whose largest says the class.

    meaning     what they are, and how their columns are headed: p for probabilities; anything else, such as score or
                vote, is none, and gets neither a log loss nor a calibration nor a confidence
    resampling  how intervals are made; None makes none
    """
    found, names = class_samples(predictions, probabilistic=meaning == "p"), spec.output_names
    scores, undefined = _told(found.values(), lambda name: found.why(name, names))
    sure = class_intervals(found, resampling) if resampling and resampling.resamples else {}
    numbers = torch.cat([p.indices for p in predictions]).tolist()
    rows = ClassRows(numbers, names, found, meaning)
    judged = found.judged
    true, predicted, samples = found.cells
    return Report(
        scores,
        undefined,
        {name: each for name, each in sure.items() if scores.get(name) is not None},
        rows.header,
        rows,
        found.losses(),
        mistakes=Guesses(meaning, numbers, found.targets, judged.predicted, judged.own, judged.confidence),
        per_class=_class_rows(names, found, resampling),
        cells=list(zip(true.tolist(), predicted.tolist(), samples.tolist(), strict=True)),
        reliability=_reliability(found),
        curves=found.curves(_MOST_CURVES),
        notes=_notes(len(names)) if rows.is_cut else (),
    )


def value_report(spec: DataSpec, predictions: Sequence[Prediction], resampling: Resampling | None = None) -> Report:
    """The report of (N, O) values, and of the further values of each target, such as quantiles.

    The scores are means over the targets. Of several targets the intervals of each are there too, as `height/rmse`.
    """
    found, names = value_samples(predictions), spec.output_names
    further = {name: _joined([p.further[name] for p in predictions]) for name in predictions[0].further}
    plain = _once(found.statistic(), len(found))
    scores, undefined = _told(plain, found.why)
    sure = value_intervals(found, resampling) if resampling and resampling.resamples else {}
    per_output: dict[str, dict[str, float | None]] = {}
    for n, name in enumerate(names):
        own = {key.partition("/")[2]: value for key, value in plain.items() if key.startswith(f"{n}/")}
        shares: dict[str, float | None] = {
            f"share_below_{more}": _share_below(found.true[:, n], bound[:, n]) for more, bound in further.items()
        }
        per_output[name] = _told(own, found.why)[0] | shares
    several = {f"{n}/": f"{name}/" for n, name in enumerate(names)} if len(names) > 1 else {}
    rows = torch.cat([p.indices for p in predictions]).tolist()
    pairs = np.stack([found.true, found.predicted], axis=2).reshape(len(found), -1)
    numbers = np.concatenate([pairs, *further.values()], axis=1).tolist()
    header = ["row"] + [f"{kind} {name}" for name in names for kind in ("true", "predicted")]
    return Report(
        scores,
        undefined,
        {name: each for name, each in sure.items() if scores.get(name) is not None}
        | {
            long + key.removeprefix(short): each
            for key, each in sure.items()
            for short, long in several.items()
            if key.startswith(short) and per_output[long[:-1]].get(key.removeprefix(short)) is not None
        },
        header + [f"{more} {name}" for more in further for name in names],
        [[int(row), *line] for row, line in zip(rows, numbers, strict=True)],
        found.losses(spec.targets.std if isinstance(spec.targets, ValueSpec) else [1.0] * len(names)),
        per_output=per_output,
    )


def class_samples(predictions: Sequence[Prediction], *, probabilistic: bool) -> ClassSamples:
    """All samples of `predictions`, at least one: by their logits where all have some."""
    targets = torch.cat([p.known_targets for p in predictions]).cpu().numpy()
    logits = [p.logits for p in predictions if p.logits is not None]
    if probabilistic and len(logits) == len(predictions):
        return ClassSamples(ClassOutputs(_arrays(logits), "logits"), targets)
    form: Form = "probabilities" if probabilistic else "scores"
    return ClassSamples(ClassOutputs(_arrays([p.outputs for p in predictions]), form), targets)


def value_samples(predictions: Sequence[Prediction]) -> ValueSamples:
    """All samples of `predictions`, at least one."""
    return ValueSamples(_joined([p.outputs for p in predictions]), _joined([p.known_targets for p in predictions]))


def _arrays(parts: Sequence[torch.Tensor]) -> list[Any]:
    """As they came, without a copy where they lie in main memory."""
    return [(part if part.dtype in (torch.float32, torch.float64) else part.float()).cpu().numpy() for part in parts]


def _joined(parts: Sequence[torch.Tensor]) -> Floats:
    whole: Floats = torch.cat(list(parts)).cpu().double().numpy()
    return whole


def _once(statistic: Statistic, count: int) -> dict[str, float]:
    """The values of a statistic in which each sample counts once."""
    return {name: float(column[0]) for name, column in statistic(np.ones((1, count))).items()}


def _told(values: Mapping[str, float], why: Callable[[str], str]) -> tuple[dict[str, float | None], dict[str, str]]:
    """(metric -> value or None, metric -> why None) of those that are no class's or output's own."""
    own = {name: value for name, value in values.items() if "/" not in name}
    undefined = {name: why(name) for name, value in own.items() if not np.isfinite(value)}
    return {name: None if name in undefined else value for name, value in own.items()}, undefined


def _notes(classes: int) -> tuple[str, ...]:
    """What is cut with very many classes."""
    return (
        f"predictions.csv has the {TOP} most likely of {classes:,} classes for each sample; "
        "dlexp predict --probabilities writes every class",
        f"confusion_cells.csv has the cells of the {classes:,} x {classes:,} confusion matrix that are not 0; "
        f"a picture of it is drawn up to {MOST_CLASSES:,} classes",
    )


def _reliability(found: ClassSamples) -> list[calibration.Bin]:
    if not (found.outputs.probabilistic and found.is_finite):
        return []
    return calibration.bins(found.judged.confidence, found.predicted == found.targets)


def _class_rows(names: Sequence[str], found: ClassSamples, resampling: Resampling | None) -> list[list[Any]]:
    """A row of `PER_CLASS` for each class; as in the averages, precision, recall and F1 of 0/0 are 0."""
    made = resampling is not None and resampling.resamples
    sure = each_class(found, resampling.level) if resampling is not None and made else {}
    blank = [np.full(len(names), np.nan)] * (2 * len(_WITH_INTERVAL))
    columns = [
        *(np.nan_to_num(found.each[kind]) for kind in _WITH_INTERVAL),
        *(np.bincount(numbers, minlength=len(names)) for numbers in (found.targets, found.predicted)),
        *(found.each[kind] for kind in ("specificity", "roc_auc", "average_precision")),
        *([bound for kind in _WITH_INTERVAL for bound in sure[kind]] if made else blank),
    ]
    lines = zip(*(column.tolist() for column in columns), strict=True)
    return [
        [name, *(cell if np.isfinite(cell) else None for cell in line)] for name, line in zip(names, lines, strict=True)
    ]


def _share_below(targets: Floats, bound: Floats) -> float:
    return float((targets <= bound).mean())
