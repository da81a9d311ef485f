"""The workflow `dlexp evaluate`: evaluates the weights of a run on one of its splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.derive import Change
from dlexp.config.saved import load_saved
from dlexp.engine.evaluate import Evaluation, evaluate
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.report import Report
from dlexp.text.time_format import now_utc
from dlexp.workflows.evaluate.anomalies import with_anomalies
from dlexp.workflows.evaluate.attention import with_attention_maps
from dlexp.workflows.evaluate.files import report_facts, write_figures, write_tables
from dlexp.workflows.evaluate.generated.report import refuse_request, with_samples
from dlexp.workflows.evaluate.generated.samples import SampleWishes
from dlexp.workflows.evaluate.reconstructions import with_reconstructions
from dlexp.workflows.evaluate.texts import with_mistaken_texts
from dlexp.workflows.evaluate.through_time import with_gradient_through_time
from dlexp.workflows.run_record.drift import DATA, check_evaluated
from dlexp.workflows.run_record.other_data import data_as_in
from dlexp.workflows.run_record.restore import load_eval_weights

SCHEMA = 5  # of report.json
_USUAL = Resampling()
_NO_WISHES, _NO_SAMPLES = SampleWishes(), SampleWishes(count=0)


def evaluate_run(
    folder: Path,
    split: str,
    checkpoint: str,
    changes: dict[str, Any],
    trusted: Sequence[str],
    *,
    allow_changes: bool = False,
    resampling: Resampling = _USUAL,
    samples: SampleWishes = _NO_WISHES,
) -> dict[str, Any]:
    """Evaluate a run on `split` with its `checkpoint` (best or last); writes eval/<split>/ and returns report.json.

    Other data are read as the run reads its own, their classes matched by name. A generative run makes `samples`, which
    are measured beside real data.
    Raises ConfigError when there is no such run or its configuration was edited, DataError when its data have changed
    (both unless `allow_changes`) or hold a class that the run does not know, DlexpError when it has no such checkpoint
    or one of another model.
    """
    run = RunDir.find(folder)
    with claimed(run.path):
        config = load_saved(run / "config.yaml", changes)
        experiment = assemble(config, trusted, data_as_in(run, config, trusted), is_for_training=False)
        changed = check_evaluated(run, experiment, changes, allow_changes)
        load_eval_weights(run, experiment, checkpoint)
        refuse_request(experiment, samples)
        report_state = experiment.metrics.report_state()
        result = evaluate(
            experiment.task,
            experiment.networks,
            experiment.split(split),
            experiment.precision,
            report_state,
            seed=config.seed,
        )
        return write_evaluation(run, experiment, (split, checkpoint), result, changed, resampling, samples)


def write_evaluation(
    run: RunDir,
    experiment: Experiment,
    what: tuple[str, str],
    result: Evaluation,
    changed: Sequence[Change] = (),
    resampling: Resampling = _USUAL,
    samples: SampleWishes = _NO_SAMPLES,
) -> dict[str, Any]:
    """Write eval/<split>/: report.json, the tables and the figures of the task's report; returns report.json.

    Args:
        run: its directory.
        experiment: as it was evaluated.
        what: (split, checkpoint).
        result: of an evaluation with `task.report_state()`.
        changed: changes since the run was trained.
        resampling: how the intervals of the metrics are made.
        samples: those that a generative run makes to be measured; by default none.
    """
    split, checkpoint = what
    folder, spec = run / "eval" / split, experiment.bundle.spec
    references = None if experiment.bundle.references is None else experiment.bundle.references(split)
    report = experiment.metrics.report(spec, result.state, resampling, references, experiment.bundle.times)
    report = with_gradient_through_time(with_mistaken_texts(report, experiment.bundle), experiment, split)
    report = with_reconstructions(with_attention_maps(report, experiment, split), experiment, split)
    report = with_anomalies(report, run, experiment, what, resampling)
    report = with_samples(report, experiment, split, samples, resampling)
    accesses = log_split_access(run / "eval", split, checkpoint)
    content = {
        "schema": SCHEMA,
        "run": str(run.path),
        "split": split,
        "checkpoint": checkpoint,
        "samples": len(experiment.bundle.splits[split]),
        "metrics": _metrics(result, report),
        **report_facts(report, split, resampling),
        **_baselines(experiment, split),
        "split_accesses": accesses,
        "data_as_trained": not any(change.path in DATA for change in changed),
        "changed_since_training": [vars(change) for change in changed],
        "evaluated": now_utc(),
    }
    write_tables(folder, report)
    content |= write_figures(folder, split, experiment.bundle, report)
    write_json(folder / "report.json", content)  # last: where it is, the files that it belongs to are too
    return content


def _baselines(experiment: Experiment, split: str) -> dict[str, Any]:
    """What simple models of the data reach on the split, where it has such."""
    made, task = experiment.bundle.baselines, experiment.task
    found = dict(made(split)) if made else {}
    found |= task.baselines(experiment.split("train"), experiment.split(split))
    return {"baselines": {name: dict(values) for name, values in found.items()}} if found else {}


def _metrics(result: Evaluation, report: Report) -> dict[str, float | None]:
    """All of them; those that every epoch logs have the bits that they were logged with."""
    others = {name: v for name, v in report.metrics.items() if name not in result.metrics or v is None}
    return {**result.metrics, **others}
