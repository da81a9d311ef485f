"""The command `dlexp evaluate`: evaluates a run, or every run of a group of seeds, on a split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlexp.cli import options as given
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

_MIN_RESAMPLES = 100  # for an interval


def evaluate(
    run: given.Run = "latest",
    overrides: given.EvaluationOverrides = None,
    split: given.Split = "test",
    checkpoint: given.Checkpoint = "best",
    resamples: given.Resamples = 1000,
    level: given.Level = 0.95,
    allow_changes: given.EvaluateChanged = False,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Evaluate a run, or a group of seeds, on a split. Metrics have confidence intervals."""
    from dlexp.workflows.finished_run import check_checkpoint, check_word, evaluation_changes

    typed = tuple(overrides or ())
    if "=" in run:
        run, typed = "latest", (run, *typed)
    check_word("--split", split, ("train", "val", "test"))
    check_checkpoint(checkpoint)
    _refuse(resamples, level)
    changes = evaluation_changes(typed)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import is_group
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.train.seeds import evaluate_group

    folder = named_run(run)
    is_of_seeds = is_group(folder)
    if not is_of_seeds:
        RunDir.find(folder)  # raises an error before torch is imported
    trusted = trusted_packages(tuple(trust or ()))
    from dlexp.cli.views.results import evaluate as view
    from dlexp.metrics.bootstrap import Resampling
    from dlexp.workflows.evaluate.evaluate import evaluate_run

    resampling = Resampling(resamples, level)

    def one(path: Path) -> dict[str, Any]:
        return evaluate_run(
            path, split, checkpoint, changes, trusted, allow_changes=allow_changes, resampling=resampling
        )

    content = evaluate_group(folder, split, one) if is_of_seeds else one(folder)
    if json:
        print_json(content)
    elif is_of_seeds:
        view.group(folder, split, content)
    else:
        view.evaluation(content)


def _refuse(resamples: int, level: float) -> None:
    """Raise ConfigError for settings that give no interval."""
    if not 0 < level < 1:
        raise ConfigError.one(
            "--level", level, "must be between 0 and 1", "Use a value such as 0.95.", code="out-of-range"
        )
    if resamples and resamples < _MIN_RESAMPLES:
        rule = f"must be 0 (no intervals) or at least {_MIN_RESAMPLES}"
        raise ConfigError.one("--resamples", resamples, rule, code="too-few-samples")
