"""What the scores of a run find, in the report of an evaluation."""

from __future__ import annotations

from dataclasses import replace

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.anomalies import with_scores
from dlexp.metrics.reports.report import Report
from dlexp.workflows.run_record.anomaly_threshold import read_threshold, score_name, scored


def with_anomalies(
    report: Report, run: RunDir, experiment: Experiment, what: tuple[str, str], resampling: Resampling | None
) -> Report:
    """`report` with the scores of the samples and what they find; as it is for a task without scores.

    Args:
        report: Of the split.
        run: With its threshold.
        experiment: With the weights of the checkpoint.
        what: (split, checkpoint).
        resampling: How intervals are made; None makes none.
    """
    split, checkpoint = what
    name = score_name(experiment)
    if name is None:
        return report
    threshold, why = read_threshold(run, experiment, checkpoint)
    made = with_scores(report, scored(experiment, split, name), threshold, resampling)
    return replace(made, notes=(*made.notes, why)) if why else made
