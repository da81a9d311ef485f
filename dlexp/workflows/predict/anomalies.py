"""Scores of new samples beside the threshold of the run, as columns of `dlexp predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dlexp.metrics.reports.anomalies import Threshold
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.types import Prediction
from dlexp.workflows.run_record.anomaly_threshold import read_threshold, score_name
from dlexp.workflows.run_record.restore import RestoredRun

_WORDS = ("false", "true")


class Judgement:
    """Puts the columns score, anomaly and threshold in front of those of the task, where it has a score.

    Args:
        runs: Those whose mean is predicted; of several there is no threshold.
        checkpoint: Of their weights.
        say: Is told why there is no threshold.
    """

    def __init__(self, runs: Sequence[RestoredRun], checkpoint: str, say: Callable[[str], None]) -> None:
        self._score = score_name(runs[0].experiment)
        self._threshold: Threshold | None = None
        if self._score is not None and len(runs) == 1:
            self._threshold, why = read_threshold(runs[0].run, runs[0].experiment, checkpoint)
            if why:
                say(f"{why}; the columns anomaly and threshold are left out")

    def of(self, columns: PredictionColumns, prediction: Prediction) -> PredictionColumns:
        """`columns` of the prediction, with its scores."""
        if self._score is None:
            return columns
        scores = prediction.extra[self._score].double().cpu().tolist()
        found: dict[str, list[object]] = {"score": scores}
        if self._threshold is not None:
            limit = self._threshold.threshold
            found |= {"anomaly": [_WORDS[value > limit] for value in scores], "threshold": [limit] * len(scores)}
        return replace(columns, columns={**found, **columns.columns})
