"""The report of generated sequences: examples, the worst mistakes, every sample, and where the network looked.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Interval, Resampling, report_intervals
from dlexp.metrics.intervals.shares import exact
from dlexp.metrics.reports.classes import MOST_MISTAKES
from dlexp.metrics.reports.figures import AttentionMaps, Figure
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.tokens.corpus_scores import OF_TEXTS
from dlexp.metrics.tokens.generated import SampleAttention, SequenceSamples, text_scores

_EXAMPLES = 20
_NEAR = 2  # positions
_HEADER = ("row", "source", "true", "predicted", "exact_match", "tokens", "token_accuracy", "log_loss", "score")
_LABELS = ("row", "source", "true", "predicted")


def sequence_report(
    samples: SequenceSamples, attention: Sequence[SampleAttention], resampling: Resampling | None = None
) -> Report:
    """The report of N samples.

    The intervals are over sequences: the tokens of one are not independent of each other. BLEU and chrF are computed
    where targets are texts and sacrebleu is installed, with its signatures.

    Args:
        samples: The N samples.
        attention: Where the network looked in some of them.
        resampling: How intervals are made; None makes none.
    """
    plain = {name: float(column[0]) for name, column in samples.statistic()(np.ones((1, len(samples)))).items()}
    can_score = samples.target_vocabulary is not None and find_spec("sacrebleu") is not None
    scores = text_scores(OF_TEXTS if can_score else (), samples)
    metrics: dict[str, float | None] = {**plain, **{name: score for name, (score, _) in scores.items()}}
    rows = _Rows(samples)
    worst = np.flatnonzero(~samples.exact)
    worst = worst[np.argsort(-samples.each("log_loss")[worst], kind="stable")][:MOST_MISTAKES]
    examples = Table(_HEADER, rows.of(range(min(len(samples), _EXAMPLES))), "Samples of the {split} split.", _LABELS)
    mistakes = Table(
        _HEADER, rows.of(worst.tolist()), "Mistakes on the {split} split, the least probable truth first.", _LABELS
    )
    figures: dict[str, Figure] = {
        f"attention-{number + 1}": AttentionMaps(
            "Attention on the {split} split: which source positions each put out token was made of. "
            f"Sample {number + 1} of the split.",
            one.source,
            one.target,
            one.maps,
        )
        for number, one in enumerate(attention)
    }
    facts: dict[str, Any] = (
        {"signatures": {name: signature for name, (_, signature) in scores.items()}} if scores else {}
    )
    if attention:
        facts["attention"] = _near(attention)
    notes = (
        []
        if can_score or samples.target_vocabulary is None
        else ["bleu and chrf require the package sacrebleu: pip install 'dlexp[text]'"]
    )
    return Report(
        metrics,
        {},
        _intervals(samples, resampling),
        {"predictions": Table(_HEADER, rows), "examples": examples, "mistakes": mistakes},
        figures,
        facts,
        notes,
    )


def _near(attention: Sequence[SampleAttention]) -> dict[str, dict[str, list[float]]]:
    """Layer -> how concentrated each of its heads is: the mass within two positions of the largest weight of each row,
    and within two of the diagonal; means over all rows of the samples.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name in attention[0].maps:
        rows: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for one in attention:
            weights = np.asarray(one.maps[name], np.float64)
            places = np.arange(weights.shape[2])
            peaks = np.abs(places - weights.argmax(axis=2)[:, :, None]) <= _NEAR
            diagonal = np.abs(places - np.arange(weights.shape[1])[:, None]) <= _NEAR
            rows.append(((weights * peaks).sum(axis=2), (weights * diagonal).sum(axis=2)))
        near, along = (np.concatenate([pair[n] for pair in rows], axis=1).mean(axis=1) for n in range(2))
        found[name] = {"mass_near_peak": near.tolist(), "mass_near_diagonal": along.tolist()}
    return found


def _intervals(samples: SequenceSamples, resampling: Resampling | None) -> dict[str, Interval]:
    if resampling is None or not resampling.resamples:
        return {}
    found = report_intervals(samples.statistic(), len(samples), resampling)
    low, high = exact(float(samples.exact.sum()), float(len(samples)), resampling.level)
    return found | {"exact_match": Interval(float(low), float(high), method="Clopper-Pearson")}


@dataclass(frozen=True)
class _Rows:
    """A row of each sample, made as they are read."""

    samples: SequenceSamples

    def __iter__(self) -> Iterator[list[Any]]:
        yield from self.of(range(len(self.samples)))

    def of(self, positions: Sequence[int]) -> list[list[Any]]:
        """The rows of some samples."""
        some = list(positions)
        arrays = {name: values[some] for name, values in self.samples.arrays.items()}
        chosen = SequenceSamples(arrays, self.samples.source_vocabulary, self.samples.target_vocabulary)
        sources = chosen.texts("source") if "source" in arrays else [""] * len(some)
        tokens, hits, losses, scores = (chosen.each(name) for name in ("tokens", "hits", "log_loss", "score"))
        columns = [
            arrays["indices"].tolist(),
            sources,
            chosen.texts("targets"),
            chosen.texts("outputs"),
            chosen.exact.astype(int).tolist(),
            tokens.astype(int).tolist(),
            (hits / tokens).tolist(),
            (losses / tokens).tolist(),
            scores.tolist(),
        ]
        return [list(row) for row in zip(*columns, strict=True)]
