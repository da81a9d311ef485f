"""The files of an evaluation of several networks, or several views, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.assemble.experiment import Experiment
from dlexp.config.derive import Change
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.class_samples import ClassSampleState
from dlexp.metrics.reports.classes import class_report
from dlexp.metrics.reports.report import Report
from dlexp.specs import ClassSpec
from dlexp.text.time_format import now_utc
from dlexp.workflows.ensemble.outputs import SplitOutputs
from dlexp.workflows.evaluate.evaluate import SCHEMA
from dlexp.workflows.evaluate.files import report_facts, write_figures, write_tables
from dlexp.workflows.evaluate.texts import with_mistaken_texts
from dlexp.workflows.run_record.drift import DATA


def write_combined(
    place: tuple[Path, str],
    experiment: Experiment,
    what: tuple[str, str],
    found: SplitOutputs,
    resampling: Resampling,
    facts: Mapping[str, Any],
    changed: Sequence[Change] = (),
) -> dict[str, Any]:
    """Write report.json, the tables and the figures of combined outputs; returns report.json.

    Args:
        place: The directory that was evaluated, and the name of the folder in its eval/.
        experiment: Of one of the networks.
        what: (split, checkpoint).
        found: The combined outputs.
        resampling: How intervals are made.
        facts: More keys of report.json.
        changed: Changes since training.
    """
    (whole, name), (split, checkpoint) = place, what
    folder = whole / "eval" / name
    report = with_mistaken_texts(_report(experiment, split, found, resampling), experiment.bundle)
    accesses = log_split_access(whole / "eval", split, checkpoint)
    content = {
        "schema": SCHEMA,
        "run": str(whole),
        "split": split,
        "place": name,
        "checkpoint": checkpoint,
        "samples": len(found),
        "metrics": dict(report.metrics),
        **report_facts(report, split, resampling),
        **facts,
        "split_accesses": accesses,
        "data_as_trained": not any(change.path in DATA for change in changed),
        "changed_since_training": [vars(change) for change in changed],
        "evaluated": now_utc(),
    }
    write_tables(folder, report)
    content |= write_figures(folder, split, experiment.bundle, report)
    write_json(folder / "report.json", content)  # last, as in an evaluation of one run
    return content


def _report(experiment: Experiment, split: str, found: SplitOutputs, resampling: Resampling) -> Report:
    """The report of the task; of votes that of classes, without anything that needs probabilities."""
    spec, bundle, prediction = experiment.bundle.spec, experiment.bundle, found.prediction()
    if isinstance(spec.targets, ClassSpec) and found.meaning == "scores":
        state = ClassSampleState(len(spec.output_names), is_probabilistic=False, keeps_outputs=True)
        state.update(prediction)
        return class_report(spec.output_names, state.indices(), state.samples(), "vote", resampling)
    whole = experiment.metrics.report_state()
    whole.update(prediction)
    references = None if bundle.references is None else bundle.references(split)
    return experiment.metrics.report(spec, whole, resampling, references, bundle.times)
