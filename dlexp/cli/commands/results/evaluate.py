"""`dlexp evaluate`: from its words to a report on a screen; and what the words of commands that use a run may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.cli.console import out, over_seeds, print_json
from dlexp.cli.views import results
from dlexp.config.check.suggest import nearest
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
_FEWEST = 100  # resamples that an interval can come from
_BOOLS = {"true": True, "false": False}


@dataclass(frozen=True)
class EvaluateWords:
    """The words of `dlexp evaluate`."""

    run: str
    overrides: tuple[str, ...]
    split: str
    checkpoint: str
    allow_changes: bool
    resamples: int = 1000
    level: float = 0.95


def evaluate(words: EvaluateWords, trust: tuple[str, ...], as_json: bool) -> None:
    """Evaluate a run, or every run of a group of seeds, and show the report."""
    run, overrides = words.run, words.overrides
    if "=" in run:
        run, overrides = "latest", (run, *overrides)
    check_word("--split", words.split, ("train", "val", "test"))
    check_checkpoint(words.checkpoint)
    if not 0 < words.level < 1:
        raise ConfigError.one("--level", words.level, "must lie between 0 and 1", "such as 0.95", code="out-of-range")
    if words.resamples and words.resamples < _FEWEST:
        rule = f"is too few for an interval; {_FEWEST} or more, or 0 for none"
        raise ConfigError.one("--resamples", words.resamples, rule, code="too-few-samples")
    changes = evaluation_changes(overrides)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import is_group
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.train.seeds import evaluate_group

    folder = named_run(run)
    if not is_group(folder):
        RunDir.find(folder)  # says what is wrong before torch is loaded
    trusted = trusted_packages(trust)
    from dlexp.metrics.bootstrap import Resampling
    from dlexp.workflows.evaluate.evaluate import evaluate_run

    resampling = Resampling(words.resamples, words.level)

    def one(path: Path) -> dict[str, Any]:
        split, checkpoint = words.split, words.checkpoint
        return evaluate_run(
            path, split, checkpoint, changes, trusted, allow_changes=words.allow_changes, resampling=resampling
        )

    if is_group(folder):
        content = evaluate_group(folder, words.split, one)
        if as_json:
            print_json(content)
        else:
            out.print(over_seeds(f"{folder}, {words.split} split", content))
        return
    content = one(folder)
    if as_json:
        print_json(content)
    else:
        results.evaluation(content)


def check_checkpoint(value: str) -> None:
    """Raise ConfigError for a --checkpoint that is none."""
    check_word("--checkpoint", value, ("best", "last"))


def check_word(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError for a word that is not one of a few, with the nearest."""
    if value not in allowed:
        near = nearest(value, allowed)
        remedy = f"did you mean {near}?" if near else ""
        raise ConfigError.one(name, value, f"is not one of {', '.join(allowed)}", remedy, code="unknown-value")


def evaluation_changes(words: Iterable[str]) -> dict[str, Any]:
    """What may differ from training when a run is used: where and how fast, not what. Raises ConfigError."""
    changes: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in _EVALUATION_KEYS:
            near = nearest(key, _EVALUATION_KEYS)
            remedy = f"did you mean {near}?" if near else f"it may change {', '.join(_EVALUATION_KEYS)}"
            raise ConfigError.one(key, value, "is fixed by the run that is evaluated", remedy, code="not-supported")
        changes[key] = int(value) if value.isdigit() else _BOOLS.get(value.lower(), value)
        if key in _PLACES:
            from dlexp.config.text_values import plain_reading  # here: it brings Hydra's grammar

            changes[key] = plain_reading(word)
    return changes
