"""The command `dlexp evaluate`: evaluates runs on a split, one by one, as one ensemble, or averaged into one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlexp.cli import options as given
from dlexp.cli.commands.results import combining
from dlexp.cli.commands.results.combining import check_combining, combine_request, folders_of
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.workflows.ensemble.request import CombineRequest

_MIN_RESAMPLES = 100  # for an interval


def evaluate(
    run: given.RunsToEvaluate = "latest",
    overrides: given.EvaluationOverrides = None,
    split: given.Split = "test",
    checkpoint: given.Checkpoint = "best",
    ensemble: combining.AsOne = False,
    weights: combining.Weights = None,
    vote: combining.Vote = False,
    calibrate: combining.Calibrate = False,
    snapshots: combining.Snapshots = False,
    soup: combining.Soup = None,
    tta: combining.Views = None,
    out: combining.NewDirectory = None,
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

    Several runs, or a group of seeds, are evaluated as one network with --ensemble. A generative run makes new samples,
    which are compared with the real ones of the split.
    """
    from dlexp.workflows.finished_run import check_checkpoint, check_word, evaluation_changes

    names = [word for word in (run, *(overrides or ())) if "=" not in word] or ["latest"]
    typed = [word for word in (run, *(overrides or ())) if "=" in word]
    asked = {"--weights": weights, "--vote": vote, "--calibrate": calibrate, "--out": out}
    of_samples = {"--samples": samples, "--steps": steps, "--guidance": guidance}
    is_combined = ensemble or snapshots or soup is not None
    check_combining(names, asked, of_samples, (ensemble, snapshots, soup, tta))
    check_word("--split", split, ("train", "val", "test"))
    check_checkpoint(checkpoint)
    _refuse(resamples, level)
    changes = evaluation_changes(typed, ("metrics",))
    from dlexp.config.nodes import trusted_packages

    folders, trusted = folders_of(names, is_combined), trusted_packages(tuple(trust or ()))
    from dlexp.cli.views.results import evaluate as view
    from dlexp.metrics.bootstrap import Resampling

    resampling = Resampling(resamples, level)
    with view.progress(quiet or json) as say:
        chosen = weights or "equal", vote, calibrate, snapshots, soup or "", tta or "", out
        request = combine_request(split, checkpoint, chosen, changes, trusted, allow_changes, resampling, say)
        if is_combined or tta or _is_ensemble(folders[0]):
            content = _combined(folders, request, is_combined)
        else:
            content = _apart(folders[0], request, (samples, steps, guidance))
    if json:
        print_json(content)
    else:
        _show(folders[0], split, content, quiet)
    if content.get("skipped"):
        raise typer.Exit(1)


def _is_ensemble(folder: Path) -> bool:
    from dlexp.artifacts.runs.run_tree import is_ensemble

    return is_ensemble(folder)


def _combined(folders: Sequence[Path], request: CombineRequest, is_combined: bool) -> dict[str, Any]:
    """Evaluate an ensemble, a soup, or views."""
    if request.soup:
        from dlexp.workflows.ensemble.soup import make_soup

        return make_soup(folders, request)
    from dlexp.workflows.ensemble.augmented import evaluate_views
    from dlexp.workflows.ensemble.evaluate import evaluate_ensemble, evaluate_members

    if is_combined:
        return evaluate_members(folders, request)
    return evaluate_ensemble(folders[0], request) if _is_ensemble(folders[0]) else evaluate_views(folders[0], request)


def _apart(
    folder: Path, request: CombineRequest, wishes: tuple[int | None, int | None, float | None]
) -> dict[str, Any]:
    """Evaluate a run, or each run of a group of seeds or of a sweep."""
    from dlexp.artifacts.runs.run_tree import is_group, is_sweep
    from dlexp.workflows.evaluate.evaluate import evaluate_run
    from dlexp.workflows.evaluate.generated.samples import SampleWishes

    samples = SampleWishes(*wishes, request.say)

    def one(path: Path) -> dict[str, Any]:
        which = (path, request.split, request.checkpoint, dict(request.changes), request.trusted)
        resampling, allowed = request.resampling, request.allow_changes
        return evaluate_run(*which, allow_changes=allowed, resampling=resampling, samples=samples)

    is_of_seeds = is_group(folder)
    return _several(folder, request.split, one, is_of_seeds) if is_of_seeds or is_sweep(folder) else one(folder)


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
    elif "ensemble" in content:
        from dlexp.cli.views.results.ensemble import combined

        combined(content, quiet)
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
