"""The command `dlexp evaluate`, and the overrides that commands using a finished run accept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.cli.console import out, over_seeds, print_json
from dlexp.cli.views import results
from dlexp.config.check.suggest import nearest_name
from dlexp.errors import ConfigError

_PLACES = ("data.path", "data.folder")
_EVALUATION_KEYS = (
    "trainer.device",
    "trainer.precision",
    "trainer.threads",
    "trainer.channels_last",
    "trainer.compile",
    "trainer.tf32",
    "data.eval_batch_size",
    "data.path",
    "data.folder",
    "data.download",
    "data.in_memory",
    "data.workers",
)
_MIN_RESAMPLES = 100  # for an interval
_BOOLS = {"true": True, "false": False}


@dataclass(frozen=True)
class EvaluateArguments:
    """The arguments of `dlexp evaluate`."""

    run: str
    overrides: tuple[str, ...]
    split: str
    checkpoint: str
    allow_changes: bool
    resamples: int = 1000
    level: float = 0.95


def evaluate(arguments: EvaluateArguments, trust: tuple[str, ...], as_json: bool) -> None:
    """Evaluate a run, or every run of a group of seeds, and print the report."""
    run, overrides = arguments.run, arguments.overrides
    if "=" in run:
        run, overrides = "latest", (run, *overrides)
    check_word("--split", arguments.split, ("train", "val", "test"))
    check_checkpoint(arguments.checkpoint)
    if not 0 < arguments.level < 1:
        raise ConfigError.one(
            "--level", arguments.level, "must be between 0 and 1", "Use a value such as 0.95.", code="out-of-range"
        )
    if arguments.resamples and arguments.resamples < _MIN_RESAMPLES:
        rule = f"must be 0 (no intervals) or at least {_MIN_RESAMPLES}"
        raise ConfigError.one("--resamples", arguments.resamples, rule, code="too-few-samples")
    changes = evaluation_changes(overrides)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import is_group
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.train.seeds import evaluate_group

    folder = named_run(run)
    if not is_group(folder):
        RunDir.find(folder)  # raises an error before torch is imported
    trusted = trusted_packages(trust)
    from dlexp.metrics.bootstrap import Resampling
    from dlexp.workflows.evaluate.evaluate import evaluate_run

    resampling = Resampling(arguments.resamples, arguments.level)

    def one(path: Path) -> dict[str, Any]:
        split, checkpoint = arguments.split, arguments.checkpoint
        return evaluate_run(
            path, split, checkpoint, changes, trusted, allow_changes=arguments.allow_changes, resampling=resampling
        )

    if is_group(folder):
        content = evaluate_group(folder, arguments.split, one)
        if as_json:
            print_json(content)
        else:
            out.print(over_seeds(f"{folder}, {arguments.split} split", content))
        return
    content = one(folder)
    if as_json:
        print_json(content)
    else:
        results.evaluation(content)


def check_checkpoint(value: str) -> None:
    """Raise ConfigError unless `value` is a checkpoint name."""
    check_word("--checkpoint", value, ("best", "last"))


def check_word(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`; the remedy names the closest one."""
    if value not in allowed:
        near = nearest_name(value, allowed)
        remedy = f"Did you mean {near}?" if near else ""
        raise ConfigError.one(name, value, f"must be one of {', '.join(allowed)}", remedy, code="unknown-value")


def evaluation_changes(arguments: Iterable[str]) -> dict[str, Any]:
    """The values of overrides that change where and how fast a finished run is used, not its results.

    Raises:
        ConfigError: An override of another key.
    """
    changes: dict[str, Any] = {}
    for word in arguments:
        key, _, value = word.partition("=")
        if key not in _EVALUATION_KEYS:
            near = nearest_name(key, _EVALUATION_KEYS)
            remedy = f"Did you mean {near}?" if near else f"Only {', '.join(_EVALUATION_KEYS)} can be overridden."
            raise ConfigError.one(key, value, "cannot be overridden for a finished run", remedy, code="not-supported")
        changes[key] = int(value) if value.isdigit() else _BOOLS.get(value.lower(), value)
        if key in _PLACES:
            from dlexp.config.text_values import plain_reading  # here, since it imports Hydra's grammar

            changes[key] = plain_reading(word)
    return changes
