"""One run of a group of seeds or a sweep: started, resumed or left unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.config.derive import config_changes
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.engine.loop import Course, follow
from dlexp.errors import ConfigError
from dlexp.runtime.signals import StopRequest
from dlexp.workflows.reporter import Reporter
from dlexp.workflows.train.auto import reuse_resolved
from dlexp.workflows.train.train import Request, resuming, training


def train_or_resume(
    config: RunConfig, request: Request, reporter: Reporter, stop: StopRequest | None = None
) -> dict[str, Any]:
    """Start or resume the run in request.run_dir; returns its summary. A finished run is left unchanged.

    Raises:
        ConfigError: The directory has a run of another configuration.
    """
    return follow(course_of(config, request, reporter, StopRequest() if stop is None else stop))


def course_of(
    config: RunConfig,
    request: Request,
    reporter: Reporter,
    stop: StopRequest,
    on_ready: Callable[[Experiment, RunDir], None] = lambda experiment, run: None,
) -> Course[dict[str, Any]]:
    """The course of `train_or_resume`; `on_ready` is called before the first update, if there is one."""
    folder = request.run_dir
    assert folder is not None
    if not (folder / "config.yaml").is_file():
        return (yield from training(config, request, reporter, stop, on_ready))
    again = replace(request, changes=())
    return (yield from resuming(same_as_saved(config, folder), again, reporter, stop, on_ready))


def same_as_saved(config: RunConfig, folder: Path) -> RunConfig:
    """`config` with auto values resolved as in the run in `folder`. Raises ConfigError if they still differ."""
    saved = load_saved(folder / "config.yaml")
    config = reuse_resolved(config, saved)
    changes = config_changes(saved.tree, config.tree)
    if changes:
        text = ", ".join(f"{c.path} was {shown(c.before)}, is {shown(c.after)}" for c in changes[:5])
        rule = f"has runs of another configuration ({text})"
        raise ConfigError.one(
            str(folder.parent), "", rule, "Use a new directory or ID, or restore the values.", code="incompatible-run"
        )
    return config
