"""The workflow `dlexp train --seeds N`, and the evaluation of a group of seeds."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import write_csv, write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_tree import is_group, members
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.config.typed import with_values
from dlexp.errors import ConfigError, DlexpError, Interrupted
from dlexp.text.quoting import shell_word
from dlexp.workflows.prepare.batch_size import FILE as BATCH_FILE
from dlexp.workflows.reporter import Reporter
from dlexp.workflows.run_record.write import metrics_of
from dlexp.workflows.train.auto import ResolvedAuto, resolve_auto, reuse_resolved
from dlexp.workflows.train.stacked import FILE as STACKS_FILE
from dlexp.workflows.train.stacked import StackJob, train_stacked
from dlexp.workflows.train.train import Request, say_changes
from dlexp.workflows.train.train_or_resume import same_as_saved, train_or_resume


def train_seeds(
    config: RunConfig, request: Request, count: int, reporter: Reporter, *, is_stacked: bool = False
) -> dict[str, Any]:
    """Train `count` runs with the seeds config.seed, config.seed + 1, ...; returns their table.

    In the directory of an interrupted group, finished runs are left unchanged and the others are resumed.

    Args:
        config: The configuration.
        request: Command and directory of the group.
        count: Number of runs.
        reporter: Receives the progress.
        is_stacked: Whether to train them together, as one network with the weights of all.

    Raises:
        ConfigError: The directory has runs of another configuration or of other seeds; nothing is written.
    """
    _refuse_other_members(config, request.run_dir, count)
    config, found = _resolved_once(config, request, reporter)
    group = _group_directory(config, request, count)
    with claimed(group):
        found.write(group, config)
        say_changes(request.changes, reporter)
        jobs = [_job(config, request, group, seed) for seed in range(config.seed, config.seed + count)]
        try:
            summaries = (_together if is_stacked else _one_by_one)(jobs, group, reporter)
        except DlexpError as error:
            with suppress(OSError):  # not empty if a run has started
                group.rmdir()
            if is_stacked and isinstance(error, Interrupted):
                how = f"with --run-dir {shell_word(str(group))}" if request.run_dir is None else "again"
                raise Interrupted(f"{error}. Run the same line {how} to continue.", error.exit_code) from None
            raise
        _refuse_missing(summaries)
        table = _table_of(group, summaries)
    RunDir(group).point_latest()
    return table


def _job(config: RunConfig, request: Request, group: Path, seed: int) -> StackJob:
    """The run of one seed."""
    kept = (override for override in request.overrides if not override.startswith("seed="))
    own = dataclasses.replace(request, overrides=(*kept, f"seed={seed}"), run_dir=group / f"seed-{seed}", changes=())
    return StackJob(f"seed {seed}", with_values(config, {"seed": seed}), own)


def _one_by_one(jobs: Sequence[StackJob], group: Path, reporter: Reporter) -> list[dict[str, Any]]:
    """Train one run after the other; returns their summaries."""
    summaries = []
    for number, job in enumerate(jobs, start=1):
        reporter.say(f"{job.name} ({number} of {len(jobs)})")
        summaries.append(train_or_resume(job.config, job.request, reporter))
    return summaries


def _together(jobs: Sequence[StackJob], group: Path, reporter: Reporter) -> list[dict[str, Any]]:
    """Train all runs as stacks; returns their summaries. Raises the first error of a run, once all have ended."""
    outcomes, plan = train_stacked(jobs, group, reporter)
    write_json(group / STACKS_FILE, plan)
    errors = [(job.name, outcome.error) for job, outcome in zip(jobs, outcomes, strict=True) if outcome.error]
    if errors:
        name, error = errors[0]
        others = ", ".join(name for name, _ in errors[1:])
        error.add_note(
            f"This was {name}{f'; {others} failed as well' if others else ''}. The other runs are in {group}"
        )
        raise error
    return [outcome.result for outcome in outcomes if outcome.result is not None]


def _refuse_missing(summaries: Sequence[Mapping[str, Any]]) -> None:
    """Raise DlexpError if a run of the group was deleted while the others were trained."""
    gone = [summary["run"] for summary in summaries if not Path(summary["run"], "config.yaml").is_file()]
    if gone:
        raise DlexpError(f"{', '.join(gone)} was deleted while other seeds were trained", code="not-found")


def _table_of(group: Path, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    metrics = [{"best_epoch": summary["best_epoch"], **metrics_of(summary)} for summary in summaries]
    return write_table(group, "seeds", [s["run"] for s in summaries], metrics)


def evaluate_group(folder: Path, split: str, evaluate: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Evaluate all runs of a group; writes and returns the table of their metrics."""
    runs = members(folder)
    with claimed(folder):
        metrics = [evaluate(run)["metrics"] for run in runs]
        return write_table(folder, f"eval-{split}", [str(run) for run in runs], metrics)


def write_table(folder: Path, name: str, runs: Sequence[str], metrics: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Write <name>.csv and <name>.json: one row per run; mean, standard deviation (n - 1) and n of each metric."""
    columns = list(metrics[0])
    spread = {
        column: {
            "mean": statistics.fmean(known) if known else None,
            "std": statistics.stdev(known) if len(known) > 1 else None,
            "n": len(known),  # without runs for which the metric is undefined
        }
        for column in columns
        for known in [[row[column] for row in metrics if row[column] is not None]]
    }
    write_csv(
        folder / f"{name}.csv",
        ["run", *columns],
        [[run, *row.values()] for run, row in zip(runs, metrics, strict=True)],
    )
    table = {"group": str(folder), "runs": list(runs), "metrics": [dict(row) for row in metrics], "over_seeds": spread}
    write_json(folder / f"{name}.json", table)
    return table


def _resolved_once(config: RunConfig, request: Request, reporter: Reporter) -> tuple[RunConfig, ResolvedAuto]:
    """Resolve auto values once for all seeds; a resumed group keeps its values."""
    done = members(request.run_dir) if request.run_dir is not None else []
    if done:
        config = reuse_resolved(config, load_saved(done[0] / "config.yaml"))
    return resolve_auto(config, request.trusted, reporter)


def _refuse_other_members(config: RunConfig, folder: Path | None, count: int) -> None:
    """Raise ConfigError if the group in `folder` has a run that is not among these seeds."""
    for run in members(folder) if folder is not None and folder.is_dir() else []:
        seed = load_saved(run / "config.yaml").seed
        if not config.seed <= seed < config.seed + count:
            rule = f"does not include seed {seed} of {folder} (seed={config.seed})"
            raise ConfigError.one(
                "--seeds",
                count,
                rule,
                "Include the existing seeds, or use a new directory.",
                code="incompatible-run",
            )
        same_as_saved(with_values(config, {"seed": seed}), run)


def _group_directory(config: RunConfig, request: Request, count: int) -> Path:
    folder = request.run_dir
    if folder is not None and folder.is_dir() and any(folder.iterdir()) and _is_group_so_far(folder):
        return folder
    name = f"{config.run_name}-{count}-seeds"
    return RunDir.create("train", name, request.run_dir).path


def _is_group_so_far(folder: Path) -> bool:
    """Return whether a directory is a group of seeds, possibly killed before its first run started."""
    own = (BATCH_FILE, "lr_find", "seeds.csv", "seeds.json", STACKS_FILE)
    return is_group(folder) or all(
        path.name in own or (path.is_dir() and re.fullmatch(r"seed-\d+", path.name)) for path in folder.iterdir()
    )
