"""`dlexp evaluate`: the weights of a run on one of its splits, as a report that can be checked sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.files import read_json, write_bytes, write_csv, write_json
from dlexp.artifacts.run_dir import RunDir
from dlexp.assemble import Experiment, assemble
from dlexp.config.repeat import Change
from dlexp.config.saved import load_saved
from dlexp.engine.evaluate import Evaluation, evaluate
from dlexp.metrics.report import Report
from dlexp.runtime.clock import now_utc
from dlexp.types import DataSpec
from dlexp.workflows.since import DATA, check_evaluated
from dlexp.workflows.stored import load_judged


def evaluate_run(
    folder: Path,
    split: str,
    checkpoint: str,
    changes: dict[str, Any],
    trusted: Sequence[str],
    *,
    allow_changes: bool = False,
) -> dict[str, Any]:
    """Evaluate a run on `split` with its `checkpoint` (best or last); writes eval/<split>/ and returns report.json.

    Raises ConfigError when there is no such run or its configuration was edited, DataError when its data have changed
    (both unless `allow_changes`), DlexpError when it has no such checkpoint or one of another model.
    """
    run = RunDir.find(folder)
    experiment = assemble(load_saved(run / "config.yaml", changes), trusted)
    changed = check_evaluated(run, experiment, changes, allow_changes)
    load_judged(run, experiment, checkpoint)
    result = evaluate(
        experiment.task, experiment.networks, experiment.split(split), experiment.precision, keep_predictions=True
    )
    return write_evaluation(run, experiment, (split, checkpoint), result, changed)


def write_evaluation(
    run: RunDir, experiment: Experiment, what: tuple[str, str], result: Evaluation, changed: Sequence[Change] = ()
) -> dict[str, Any]:
    """eval/<split>/: report.json, predictions.csv, and for classes per_class.csv, confusion.csv and a picture of it.

    what     (split, checkpoint)
    changed  what has changed since the run was trained
    """
    split, checkpoint = what
    from dlexp.report.figures import confusion_png, prediction_png  # matplotlib loads when there is something to draw

    folder, spec = run / "eval" / split, experiment.bundle.spec
    details = experiment.task.report(spec, result.predictions)
    looks = _count_look(run, split, checkpoint)
    content = {
        "run": str(run.path),
        "split": split,
        "checkpoint": checkpoint,
        "samples": len(experiment.bundle.splits[split]),
        "metrics": result.metrics,
        **details.averages,
        "looks_at_this_split": looks,
        "data_as_trained": not any(change.path in DATA for change in changed),
        "changed_since_training": [vars(change) for change in changed],
        "evaluated": now_utc(),
    }
    write_json(folder / "report.json", content)
    write_csv(folder / "predictions.csv", details.prediction_header, details.prediction_rows)
    if spec.targets == "class":
        _write_classes(folder, spec, details)
        write_bytes(folder / "confusion.png", confusion_png(details.confusion, spec.class_names, split))
    else:
        for number, name in enumerate(spec.target_names):
            true, predicted = details.columns(number)
            suffix = "" if number == 0 else f"-{number}"
            write_bytes(folder / f"predicted{suffix}.png", prediction_png(true, predicted, name, split))
    return content


def _write_classes(folder: Path, spec: DataSpec, details: Report) -> None:
    write_csv(folder / "per_class.csv", ["class", "precision", "recall", "f1", "support"], details.per_class)
    write_csv(
        folder / "confusion.csv", ["true \\ predicted", *spec.class_names], details.confusion_rows(spec.class_names)
    )


def _count_look(run: RunDir, split: str, checkpoint: str) -> int:
    """Note in eval/looks.json that a split was looked at; returns how often it has been."""
    path = run / "eval" / "looks.json"
    looks = read_json(path) if path.is_file() else []
    looks.append({"split": split, "checkpoint": checkpoint, "time": now_utc()})
    write_json(path, looks)
    return sum(look["split"] == split for look in looks)
