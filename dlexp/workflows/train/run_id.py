"""`dlexp train --run-id ID`: one line that starts a run, continues it, or finds it finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.new_folder import refuse_bad_name
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_tree import is_group
from dlexp.config.derive import CHANGEABLE, Change, differences
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, Problem
from dlexp.workflows.reporter import Reporter
from dlexp.workflows.train.auto import reuse_resolved
from dlexp.workflows.train.seeds import train_seeds
from dlexp.workflows.train.train import Request, resume, train


def train_under_id(config: RunConfig, request: Request, name: str, reporter: Reporter) -> dict[str, Any]:
    """Train the run outputs/train/<name> to its end, from wherever it stands; returns its summary.

    A finished run is left as it is. Raises ConfigError when the directory holds something else, a run of another
    configuration (every difference is named), or a run that a live process writes.
    """
    folder = folder_of(name)
    if is_group(folder):
        remedy = "add --seeds with their number, or name another ID"
        raise ConfigError.one(
            "--run-id", name, f"{folder} is a group of several seeds", remedy, code="incompatible-run"
        )
    if not (folder / "config.yaml").is_file():
        try:
            return train(config, replace(request, run_dir=folder), reporter)
        except ConfigError:
            if not RunDir(folder).is_locked():
                raise
        with RunDir(folder).lock():  # another process was faster: it is named
            pass
    saved = load_saved(folder / "config.yaml")
    config = reuse_resolved(config, saved)
    for change in changed(saved, config, folder):
        reporter.say(f"changed: {change.path}: {change.before} -> {change.after}")
    allowed = request.allow_changes
    return resume(RunDir(folder), config, request.trusted, reporter, allow_changes=allowed)


def train_seeds_under_id(
    config: RunConfig, request: Request, name: str, count: int, reporter: Reporter
) -> dict[str, Any]:
    """`count` seeds under one ID: those that are finished stay, the others start or go on; returns their table."""
    folder = folder_of(name)
    if (folder / "config.yaml").is_file():
        remedy = "drop --seeds, or name another ID"
        raise ConfigError.one("--run-id", name, f"{folder} is a single run", remedy, code="incompatible-run")
    return train_seeds(config, replace(request, run_dir=folder), count, reporter)


def folder_of(name: str) -> Path:
    """The directory of an ID. Raises ConfigError for what is none."""
    refuse_bad_name("--run-id", name)
    return outputs_root() / "train" / name


def changed(saved: RunConfig, config: RunConfig, folder: Path) -> list[Change]:
    """What differs from the run in `folder` and may. Raises ConfigError with everything that may not."""
    found = differences(saved.tree, config.tree)
    others = [change for change in found if change.path not in CHANGEABLE]
    if others:
        rule = f"the run {folder} has {{}} there; under one ID only {', '.join(CHANGEABLE)} may change"
        remedy = "name another ID, or put the value back"
        raise ConfigError(
            [Problem(c.path, str(c.after), rule.format(c.before), remedy, code="incompatible-run") for c in others]
        )
    return found
