"""The report of recognized texts: error rates with intervals over samples, each sample, and the worst ones."""

from __future__ import annotations

import numpy as np

from dlexp.metrics.bootstrap import Resampling, report_intervals
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.tokens.edit_distance import EditState

_MOST_MISTAKES = 25
_HEADER = ("row", "true", "predicted", "character_edits", "characters", "word_edits", "words")
_WORST = "The texts with the most edits for each character on the {split} split, worst first."
_UNDEFINED = "the true texts are empty"


def edit_report(state: EditState, resampling: Resampling | None = None) -> Report:
    """The report of every sample.

    Args:
        state: Holds at least one sample.
        resampling: How intervals are made; None makes none.
    """
    counts, indices = state.counts(), state.indices()
    metrics: dict[str, float | None] = dict(state.compute())
    missing = [name for name, value in metrics.items() if value is None or not np.isfinite(value)]
    drawn = report_intervals(counts.statistic, len(indices), resampling)
    # Of rates of 0, and of shares of 1, nothing can be drawn: an interval of no width would claim certainty.
    sure = {name: found for name, found in drawn.items() if name not in missing and found.low != found.high}
    parts = zip(*(part.astype(int).tolist() for part in vars(counts).values()), strict=True)
    rows = [
        [number, true, found, *numbers]
        for number, (found, true), numbers in zip(indices.tolist(), state.texts(), parts, strict=True)
    ]
    worst = sorted((row for row in rows if row[3]), key=lambda row: (-row[3] / max(row[4], 1), row[0]))
    return Report(
        {name: None if name in missing else value for name, value in metrics.items()},
        dict.fromkeys(missing, _UNDEFINED),
        sure,
        {
            "predictions": Table(_HEADER, rows, labels=("true", "predicted")),
            "mistakes": Table(_HEADER, worst[:_MOST_MISTAKES], _WORST, ("row", "true", "predicted")),
        },
    )
