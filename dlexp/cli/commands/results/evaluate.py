"""The command `dlexp evaluate`: evaluates a run, or every run of a group of seeds or a sweep, on a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from dlexp.cli import options as given
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

_MIN_RESAMPLES = 100  # for an interval


def evaluate(
    run: given.RunsToEvaluate = "latest",
    overrides: given.EvaluationOverrides = None,
    split: given.Split = "test",
    checkpoint: given.Checkpoint = "best",
    resamples: given.Resamples = 1000,
    level: given.Level = 0.95,
    samples: given.MeasuredSamples = None,
    steps: given.MeasuredSteps = None,
    guidance: given.MeasuredGuidance = None,
    allow_changes: given.EvaluateChanged = False,
    trust: given.Trust = None,
    quiet: given.MetricsOnly = False,
    json: given.Json = False,
) -> None:
    """Evaluate a run, a group of seeds or the jobs of a sweep on a split. Metrics have confidence intervals.

    A generative run makes new samples, which are compared with the real ones of the split.
    """
    from dlexp.workflows.finished_run import check_checkpoint, check_word, evaluation_changes

    typed = tuple(overrides or ())
    if "=" in run:
        run, typed = "latest", (run, *typed)
    check_word("--split", split, ("train", "val", "test"))
    check_checkpoint(checkpoint)
    _refuse(resamples, level)
    changes = evaluation_changes(typed, ("metrics",))
    from dlexp.config.nodes import trusted_packages

    folder, is_of_seeds, is_of_jobs = _found(run)
    trusted = trusted_packages(tuple(trust or ()))
    from dlexp.cli.views.results import evaluate as view
    from dlexp.metrics.bootstrap import Resampling
    from dlexp.workflows.evaluate.evaluate import evaluate_run
    from dlexp.workflows.evaluate.generated.samples import SampleWishes

    resampling = Resampling(resamples, level)
    with view.progress(quiet or json) as say:
        request = SampleWishes(samples, steps, guidance, say)

        def one(path: Path) -> dict[str, Any]:
            which = (path, split, checkpoint, changes, trusted)
            return evaluate_run(*which, allow_changes=allow_changes, resampling=resampling, samples=request)

        content = _several(folder, split, one, is_of_seeds) if is_of_seeds or is_of_jobs else one(folder)
    if json:
        print_json(content)
    else:
        _show(folder, split, content, quiet)
    if content.get("skipped"):
        raise typer.Exit(1)


def _found(run: str) -> tuple[Path, bool, bool]:
    """(directory, whether it is a group of seeds, or a sweep). Raises ConfigError before torch is imported."""
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import check_sweep, is_group, is_sweep

    folder = named_run(run)
    check_sweep(folder)
    is_of_seeds, is_of_jobs = is_group(folder), is_sweep(folder)
    if not is_of_seeds and not is_of_jobs:
        RunDir.find(folder)
    return folder, is_of_seeds, is_of_jobs


def _several(folder: Path, split: str, one: Callable[[Path], dict[str, Any]], is_of_seeds: bool) -> dict[str, Any]:
    """Evaluate each run of a group of seeds or of a sweep."""
    if is_of_seeds:
        from dlexp.workflows.train.seeds import evaluate_group

        return evaluate_group(folder, split, one)
    from dlexp.workflows.sweep.evaluation import evaluate_sweep

    return evaluate_sweep(folder, split, one)


def _show(folder: Path, split: str, content: dict[str, Any], quiet: bool) -> None:
    """Print the report of a run, or the table of several."""
    from dlexp.cli.views.results import evaluate as view

    if "group" in content:
        view.group(folder, split, content)
    elif "sweep" in content:
        view.sweep(content, quiet)
    else:
        view.evaluation(content, quiet)


def _refuse(resamples: int, level: float) -> None:
    """Raise ConfigError for settings that give no interval."""
    if not 0 < level < 1:
        raise ConfigError.one(
            "--level", level, "must be between 0 and 1", "Use a value such as 0.95.", code="out-of-range"
        )
    if resamples and resamples < _MIN_RESAMPLES:
        rule = f"must be 0 (no intervals) or at least {_MIN_RESAMPLES}"
        raise ConfigError.one("--resamples", resamples, rule, code="too-few-samples")
