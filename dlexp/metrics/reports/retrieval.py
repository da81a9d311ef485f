"""The report of pairs of images and texts: recalls with intervals, each image with its nearest text, and mistakes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from dlexp.metrics.bootstrap import Interval, Resampling
from dlexp.metrics.intervals.shares import exact
from dlexp.metrics.reports.report import Report, Table
from dlexp.metrics.retrieval import RetrievalState, ranked

_MOST_MISTAKES = 25
_HEADER = ("row", "text", "nearest text", "place of its text")
_WORST = "The images of the {split} split whose text comes last, worst first."


def retrieval_report(state: RetrievalState, decode: Callable[[Tensor], str], resampling: Resampling | None) -> Report:
    """The report of every pair.

    Args:
        state: Holds at least one pair.
        decode: Token ids (U,), zeros behind the text -> the text.
        resampling: None makes no intervals. Those of shares are exact (Clopper and Pearson 1934).
    """
    pairs, metrics = state.pairs(), dict(state.compute())
    ranks = ranked(pairs)
    outcomes = {f"{side}_recall_at_{k}": places <= k
                for side, places in (("text", ranks.texts), ("image", ranks.images)) for k in (1, 5, 10)}  # fmt: skip
    if "zero_shot_accuracy" in metrics:
        outcomes["zero_shot_accuracy"] = state.hits(pairs)
    metrics |= {name: float(found.double().mean()) for name, found in outcomes.items()}
    intervals = {} if resampling is None else {
        name: _interval(found, resampling.level) for name, found in outcomes.items()
    }  # fmt: skip
    rows = [
        [int(pairs["indices"][own]), decode(pairs["tokens"][own]), decode(pairs["tokens"][near]), place]
        for own, near, place in zip(
            ranks.first_image.tolist(), ranks.nearest_text.tolist(), ranks.texts.tolist(), strict=True
        )
    ]
    worst = sorted((row for row in rows if row[3] > 1), key=lambda row: (-row[3], row[0]))
    return Report(
        metrics,
        intervals=intervals,
        tables={
            "predictions": Table(_HEADER, sorted(rows), labels=_HEADER[1:3]),
            "mistakes": Table(_HEADER, worst[:_MOST_MISTAKES], _WORST, _HEADER[:3]),
        },
        facts={"images": len(ranks.texts), "texts": len(ranks.images)},
    )


def _interval(found: Tensor, level: float) -> Interval:
    low, high = exact(float(found.sum()), float(len(found)), level)
    return Interval(float(np.asarray(low)), float(np.asarray(high)))
