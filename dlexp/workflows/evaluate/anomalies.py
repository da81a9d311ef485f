"""What the scores of a run find, in the report of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import predictions, seeded
from dlexp.metrics.bootstrap import Floats, Resampling
from dlexp.metrics.reports.anomalies import with_scores, with_steps
from dlexp.metrics.reports.report import Report
from dlexp.tasks.generative.base import AT_STEPS
from dlexp.types import Sequences
from dlexp.workflows.run_record.anomaly_threshold import read_threshold, score_name, scored

_SHOWN = 5  # series whose steps are shown


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
    found = scored(experiment, split, name)
    made = with_scores(report, found, threshold, resampling)
    worst = np.argsort(-np.nan_to_num(found.scores, nan=np.inf), kind="stable")[:_SHOWN].tolist()
    made = with_steps(made, found, _steps(experiment, split, worst))
    return replace(made, notes=(*made.notes, why)) if why else made


def _steps(experiment: Experiment, split: str, positions: Sequence[int]) -> dict[int, Floats]:
    """Position in the split -> the scores of the steps of that series; {} where samples have no steps."""
    few = experiment.bundle.with_split_subset(split, torch.tensor(positions))
    batches = list(EvalBatches(few, split, experiment.config.eval_batch_size, experiment.device))
    if not all(isinstance(batch.inputs, Sequences) for batch in batches):
        return {}
    lengths = [length for batch in batches if isinstance(batch.inputs, Sequences) for length in batch.inputs.lengths]
    given = seeded(batches, experiment.config.seed)
    rows: list[Floats] = []
    for found in predictions(experiment.task, experiment.networks, given, experiment.precision):
        if AT_STEPS not in found.extra:
            return {}
        rows += [*found.extra[AT_STEPS].double().cpu().numpy()]
    return {place: row[: int(n)] for place, row, n in zip(positions, rows, lengths, strict=True)}
