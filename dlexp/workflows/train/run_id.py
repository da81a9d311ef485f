"""The workflow `dlexp train --run-id ID`: starts a run, or resumes it if it exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.files.new_folder import refuse_bad_name, refuse_occupied
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_tree import is_group, members
from dlexp.config.derive import CHANGEABLE, Change, config_changes
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, Problem
from dlexp.workflows.reporter import Reporter
from dlexp.workflows.run_record.drift import check_resumable
from dlexp.workflows.train.auto import reuse_resolved
from dlexp.workflows.train.seeds import train_seeds
from dlexp.workflows.train.train import Request, resume, train


def train_under_id(config: RunConfig, request: Request, name: str, reporter: Reporter) -> dict[str, Any]:
    """Start or resume the run outputs/train/<name>; returns its summary. A finished run is left unchanged.

    Raises:
        ConfigError: The directory has other content, a run of another configuration, or a run in use by a process.
    """
    folder = folder_of(name)
    _refuse_other_kind(folder, name, None)
    if not (folder / "config.yaml").is_file():
        try:
            return train(config, replace(request, run_dir=folder), reporter)
        except ConfigError:
            if not RunDir(folder).is_locked():
                raise
        with RunDir(folder).lock():  # another process has started the run: raise its error
            pass
    saved = load_saved(folder / "config.yaml")
    config = reuse_resolved(config, saved)
    changes, allowed = changed(saved, config, folder), request.allow_changes
    return resume(RunDir(folder), config, request.trusted, reporter, allow_changes=allowed, changes=changes)


def check_id(config: RunConfig, name: str, seeds: int | None, say: Callable[[str], None]) -> None:
    """Check, for a dry run, that a run of this ID could start or be resumed; nothing is written.

    Raises:
        ConfigError: As for `train_under_id` and `train_seeds_under_id`.
        DlexpError: The run has no valid checkpoint, or one of its files is corrupted.
    """
    folder = folder_of(name)
    runs = members(folder) if seeds is not None else [folder]
    _refuse_other_kind(folder, name, seeds)
    for path in (path for path in runs if (path / "config.yaml").is_file()):
        saved, run = load_saved(path / "config.yaml"), RunDir(path)
        if seeds is None:
            changed(saved, reuse_resolved(config, saved), path)
        stored = CheckpointStore(run / "checkpoints", say).load_last(has_lock=False)
        check_resumable(run, saved, stored)
    if seeds is None and not (folder / "config.yaml").is_file():
        refuse_occupied(folder)


def _refuse_other_kind(folder: Path, name: str, seeds: int | None) -> None:
    """Raise ConfigError for a group of seeds where a run is wanted, and for a run where seeds are."""
    if seeds is None and is_group(folder):
        remedy = f"Add --seeds {len(members(folder))}, or use another ID."
        raise ConfigError.one("--run-id", name, f"{folder} is a group of seeds", remedy, code="incompatible-run")
    if seeds is not None and (folder / "config.yaml").is_file():
        remedy = "Remove --seeds, or use another ID."
        raise ConfigError.one("--run-id", name, f"{folder} is a single run", remedy, code="incompatible-run")


def train_seeds_under_id(
    config: RunConfig, request: Request, name: str, count: int, reporter: Reporter, *, is_stacked: bool = False
) -> dict[str, Any]:
    """Start or resume `count` seeds under one ID; returns their table. Finished seeds are left unchanged."""
    folder = folder_of(name)
    _refuse_other_kind(folder, name, count)
    return train_seeds(config, replace(request, run_dir=folder), count, reporter, is_stacked=is_stacked)


def folder_of(name: str) -> Path:
    """The directory of an ID. Raises ConfigError for an invalid ID."""
    refuse_bad_name("--run-id", name)
    return outputs_root() / "train" / name


def changed(saved: RunConfig, config: RunConfig, folder: Path) -> list[Change]:
    """The allowed changes relative to the run in `folder`. Raises ConfigError with all other changes."""
    found = config_changes(saved.tree, config.tree)
    others = [change for change in found if change.path not in CHANGEABLE]
    if others:
        rule = f"cannot change from {{}} in {folder}; only {', '.join(CHANGEABLE)} can change under one ID"
        remedy = "Use another ID, or restore the value."
        raise ConfigError(
            [Problem(c.path, str(c.after), rule.format(c.before), remedy, code="incompatible-run") for c in others]
        )
    return found
