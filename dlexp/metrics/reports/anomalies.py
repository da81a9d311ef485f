"""The part of a report that says how well scores tell anomalies from normal samples.

Symbols: N samples, K of them that are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlexp.findings import counted
from dlexp.metrics.bootstrap import Floats, Interval, Resampling
from dlexp.metrics.confusion import Numbers
from dlexp.metrics.intervals.classes import AREA, EXACT, SCORE
from dlexp.metrics.intervals.shares import area, exact, score
from dlexp.metrics.ranking import areas, curve, thinned
from dlexp.metrics.reports.figures import Histogram, Lines, RankingCurves, SampleImages
from dlexp.metrics.reports.report import Report, Table

NORMAL, ANOMALY = "normal", "anomaly"
_MOST = 25  # misses that are shown
_WORDS = ("false", "true")
_NONE_ABOVE = "no sample is above the threshold"
_MISSES = (
    "Misses on the {split} split: anomalies at or below the threshold, the lowest first, then normal samples above."
)
_STEPS = "The score at each step of the series of the {split} split with the highest scores."
_CURVE = "How well the scores put anomalies of the {split} split before normal samples, at every threshold."


@dataclass(frozen=True)
class ScoredSamples:
    """Samples with their scores; larger is more unlike the training data.

    name        what the score is
    indices     (N,) the number of each sample in its source
    scores      (N,)
    classes     (N,) names, () without classes
    is_anomaly  (N,), None where nobody says which samples are anomalies
    """

    name: str
    indices: Numbers
    scores: Floats
    classes: Sequence[str]
    is_anomaly: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Threshold:
    """The score above which a sample counts as an anomaly: a quantile of the scores of the training samples.

    score      name of the score
    threshold  its value
    quantile   share of the training samples whose score is at or below it
    samples    number of training samples
    """

    score: str
    threshold: float
    quantile: float
    samples: int

    @classmethod
    def of(cls, score: str, scores: Floats, quantile: float) -> Threshold:
        """The least of the scores (N,) that a share `quantile` of them is at or below; NaN counts as infinite."""
        known = np.nan_to_num(scores, nan=np.inf, posinf=np.inf)
        return cls(score, float(np.quantile(known, quantile, method="inverted_cdf")), quantile, len(scores))


def with_scores(
    report: Report, found: ScoredSamples, threshold: Threshold | None, resampling: Resampling | None
) -> Report:
    """`report` with what the scores find, and with how many samples are above the threshold.

    Args:
        report: Of the same samples.
        found: At least one sample.
        threshold: None where there is none; then what needs it is left out.
        resampling: Level of the intervals; None makes none.
    """
    level = resampling.level if resampling is not None and resampling.resamples else None
    found = replace(found, scores=np.nan_to_num(found.scores, nan=np.inf))
    made = report
    truth = found.is_anomaly
    if truth is not None and truth.any() and not truth.all():
        made = _with_ranking(made, found.scores, truth, level)
    rows = _rows(found, threshold)
    header = ("row", *(("class",) if found.classes else ()), "score")
    header += (*((ANOMALY,) if truth is not None else ()), *(("flagged",) if threshold is not None else ()))
    table = Table(header, rows, labels=("row", "class", ANOMALY, "flagged"))
    tables, figures = {**made.tables, "scores": table}, {**made.figures, "scores": _histogram(found, threshold)}
    made = replace(made, tables=tables, figures=figures)
    if threshold is None:
        return made
    return _with_misses(_with_shares(made, found, threshold, level), found, threshold, table, rows)


def with_steps(report: Report, found: ScoredSamples, steps: Mapping[int, Floats]) -> Report:
    """`report` with where in some series the scores are high, as a table and a figure; as it is for no series.

    Args:
        report: Of the samples.
        found: The samples.
        steps: Position of a series -> the score of each of its steps.
    """
    if not steps:
        return report
    named = {place: f"row {found.indices[place]}" for place in steps}
    rows = [
        [int(found.indices[place]), step, value]
        for place, own in steps.items()
        for step, value in enumerate(own.tolist())
    ]
    lines = {named[place]: (np.arange(len(own), dtype=np.float64), own) for place, own in steps.items()}
    table = Table(("row", "step", "score"), rows, labels=("row", "step"))
    figure = Lines(_STEPS, "step", found.name, lines)
    return replace(report, tables={**report.tables, "steps": table}, figures={**report.figures, "steps": figure})


def _with_ranking(report: Report, scores: Floats, truth: NDArray[np.bool_], level: float | None) -> Report:
    """Areas under both curves, which no threshold is needed for."""
    roc_auc, average_precision = areas(scores, np.flatnonzero(truth))
    count, intervals = float(truth.sum()), dict(report.intervals)
    if level is not None:
        bounds = area(roc_auc, np.array([count]), np.ones(1), len(truth), level)
        intervals["roc_auc"] = Interval(*bounds, method=AREA)
        intervals["average_precision"] = Interval(*score(average_precision, count, level), method=SCORE)
    ranks = thinned(curve(scores, truth))
    return replace(
        report,
        metrics={**report.metrics, "roc_auc": roc_auc, "average_precision": average_precision},
        intervals=intervals,
        figures={
            **report.figures,
            "roc": RankingCurves(_CURVE, {ANOMALY: ranks}, {ANOMALY: roc_auc}, 2, is_roc=True),
            "pr": RankingCurves(_CURVE, {ANOMALY: ranks}, {ANOMALY: average_precision}, 2, is_roc=False),
        },
    )


def _with_shares(report: Report, found: ScoredSamples, threshold: Threshold, level: float | None) -> Report:
    """What share of which samples is above the threshold, with exact intervals."""
    flagged, truth = found.scores > threshold.threshold, found.is_anomaly
    counts = {"share_above_threshold": (int(flagged.sum()), len(flagged))}
    if truth is not None:
        hits = int((flagged & truth).sum())
        counts |= {"false_positive_rate": (int((flagged & ~truth).sum()), int((~truth).sum()))}
        if truth.any():
            counts |= {"precision": (hits, int(flagged.sum())), "recall": (hits, int(truth.sum()))}
    metrics, intervals, undefined = dict(report.metrics), dict(report.intervals), dict(report.undefined)
    for name, (part, whole) in counts.items():
        metrics[name] = part / whole if whole else None
        if not whole:
            undefined[name] = _NONE_ABOVE if name == "precision" else "every sample is an anomaly"
        elif level is not None:
            low, high = exact(part, whole, level)
            intervals[name] = Interval(float(low), float(high), method=EXACT)
    own = (
        f"{flagged.mean():.1%} of {counted(len(flagged), 'sample')} score above the threshold {threshold.threshold:.4g}"
    )
    note = (
        f"{own}; of the training samples {1 - threshold.quantile:.1%} do (task.anomaly_quantile={threshold.quantile:g})"
    )
    return replace(
        report,
        metrics=metrics,
        intervals=intervals,
        undefined=undefined,
        facts={**report.facts, "anomaly_threshold": vars(threshold)},
        notes=(*report.notes, note),
    )


def _with_misses(
    report: Report, found: ScoredSamples, threshold: Threshold, table: Table, rows: Sequence[Sequence[object]]
) -> Report:
    """The anomalies that are not found and the normal samples that are, half of the places for each where both are."""
    truth = found.is_anomaly
    if truth is None or not truth.any():
        return report
    flagged, order = found.scores > threshold.threshold, np.argsort(found.scores, kind="stable")
    unseen = [place for place in order.tolist() if truth[place] and not flagged[place]]
    alarms = [place for place in order[::-1].tolist() if flagged[place] and not truth[place]]
    first = max(_MOST // 2 + 1, _MOST - len(alarms))
    places = [*unseen[:first], *alarms[: _MOST - len(unseen[:first])]]
    words = (NORMAL, ANOMALY)
    captions = [
        (
            words[bool(truth[n])] if not found.classes else found.classes[n],
            words[bool(flagged[n])],
            f"{found.scores[n]:.3g}",
        )
        for n in places
    ]
    tables = {**report.tables, "misses": replace(table, rows=[rows[n] for n in places], caption=_MISSES)}
    figures = dict(report.figures)
    if places:
        figures["misses"] = SampleImages(_MISSES, places, captions)
    return replace(report, tables=tables, figures=figures)


def _rows(found: ScoredSamples, threshold: Threshold | None) -> list[list[object]]:
    """A line for each sample, in the order of the split."""
    columns: list[Sequence[object]] = [found.indices.tolist()]
    if found.classes:
        columns.append(found.classes)
    columns.append(found.scores.tolist())
    if found.is_anomaly is not None:
        columns.append([_WORDS[value] for value in found.is_anomaly.tolist()])
    if threshold is not None:
        columns.append([_WORDS[value] for value in (found.scores > threshold.threshold).tolist()])
    return [list(line) for line in zip(*columns, strict=True)]


def _histogram(found: ScoredSamples, threshold: Threshold | None) -> Histogram:
    values = {"": found.scores}
    if found.is_anomaly is not None:
        values = {NORMAL: found.scores[~found.is_anomaly], ANOMALY: found.scores[found.is_anomaly]}
    marks = {} if threshold is None or not np.isfinite(threshold.threshold) else {"threshold": threshold.threshold}
    kinds = "normal samples and anomalies" if found.is_anomaly is not None else "the samples"
    caption = f"The {found.name} of {kinds} of the {{split}} split{', and the threshold' if marks else ''}."
    return Histogram(caption, found.name, {label: each for label, each in values.items() if len(each)}, marks)
