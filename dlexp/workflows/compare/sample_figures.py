"""Figures of the samples of generative runs: which one decides, and whether those of two runs can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.errors import ConfigError, Problem
from dlexp.metrics.generative.names import FIGURES, FRECHET
from dlexp.text.quoting import command
from dlexp.workflows.compare.named_metrics import shared_name
from dlexp.workflows.compare.predictions import has_predictions
from dlexp.workflows.compare.same_data import refuse_other_data
from dlexp.workflows.run_record.read import RunSummary

_CONDITIONS = ("samples", "steps", "guidance", "features_of")


def usual_metric(runs: Sequence[RunSummary], split: str | None) -> str | None:
    """The Frechet distance, where all runs have it on a split and not all have values of each sample; else None."""
    found = shared_name(runs, FRECHET, split)
    if not found or all(has_predictions(run, found.partition("/")[0]) for run in runs):
        return None
    return FRECHET


def direction(run: RunSummary, metric: str) -> str | None:
    """min or max; None for a metric whose direction nobody knows."""
    return run.directions.get(metric) or FIGURES.get(metric)


def refuse_other_samples(runs: Sequence[RunSummary], metric: str) -> None:
    """Raise ConfigError for other data, and for samples that were made in another way: other numbers, other steps.

    metric  with its split, such as test/frechet
    """
    split, _, name = metric.partition("/")
    if name not in FIGURES:
        return
    made = [_conditions(run, split) for run in runs]
    if not made[0]:
        return
    refuse_other_data(runs)
    problems = []
    for run, own in zip(runs, made, strict=True):
        apart = [key for key in _CONDITIONS if own.get(key) != made[0].get(key)]
        if apart:
            values = ", ".join(f"{key} {own.get(key)} instead of {made[0].get(key)}" for key in apart)
            rule = f"was evaluated with other samples than {runs[0].path}: {values}"
            words = ["--samples", str(made[0]["samples"])] + (["--split", split] if split != "test" else [])
            remedy = f"Evaluate it with {command('evaluate', run.path, *words)}"
            problems.append(Problem(str(run.path), "", rule, remedy, code="incompatible-run"))
    if problems:
        raise ConfigError(problems)


def _conditions(run: RunSummary, split: str) -> dict[str, Any]:
    found = read_run_file(run.path / "eval" / split / "report.json").get("generated", {})
    return dict(found) if isinstance(found, dict) else {}
