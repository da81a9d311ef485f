"""The workflows `dlexp runs rm` and `dlexp runs prune`: plan and carry out the deletion of run directories.

A plan is made and shown first. A directory is renamed before it is deleted, so that a kill leaves no partial run.
"""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from dlexp.artifacts.files.reading import is_file, is_folder, read_text
from dlexp.artifacts.files.writing import is_temporary, remove_folder
from dlexp.artifacts.runs.elsewhere import forget, is_gone
from dlexp.artifacts.runs.run_dir import RunDir, missing_run, named_run, newest_runs, outputs_root
from dlexp.artifacts.runs.run_tree import ENSEMBLE_MARK, MARKS, is_group, is_sweep, runs_in, size_of
from dlexp.config.schema.tree import ABSENT, shown, value_at
from dlexp.errors import ConfigError, DlexpError, Problem
from dlexp.text.quoting import command
from dlexp.workflows.run_record.read import RunSummary
from dlexp.workflows.runs.query import Row, find_runs, refuse_unknown, where

# Files written by dlexp. Outside outputs/, a directory with other files is not deleted.
_OWN = (
    *("config.yaml", "overrides.yaml", "command.txt", "meta.json", "git.diff", "env.txt", "status.json", "train.log"),
    *("metrics.csv", "metrics.jsonl", "preprocessing.json", "summary.json", "batch_size.json", "output.log", ".lock"),
    *("checkpoints", "plots", "eval", "tb", "crash", "lr_find", "mlflow", "wandb", "report.html", "export"),
    *("jobs.json", "sweep.json", "logs", "comparison.json", "comparison.md", "comparison.png"),
    *("explain", "inspect", "doctor.json", "doctor.jsonl"),
    *("predictions", "seeds.csv", "seeds.json", "lr_find.csv", "lr_find.json", "lr_find.png"),
)
_ASIDE = ".removed-"
_PREFIXES = ("seed-", "eval-", "predictions")


@dataclass(frozen=True)
class Planned:
    """A directory to delete, its size in bytes, and a warning, "" for none."""

    path: Path
    size: int
    warning: str = ""


@dataclass(frozen=True)
class KeptRun:
    """A directory that pruning keeps, and the reason."""

    path: Path
    why: str


@dataclass(frozen=True)
class Plan:
    """The directories to delete and to keep."""

    going: Sequence[Planned]
    kept: Sequence[KeptRun] = ()

    @property
    def size(self) -> int:
        """The total size of the directories to delete, in bytes."""
        return sum(planned.size for planned in self.going)


def plan_removal(paths: Sequence[Path]) -> Plan:
    """The plan of `rm` for runs, groups of seeds, sweeps, studies and range tests.

    Raises:
        ConfigError: All paths that must not be deleted: links, other directories, parts of a group or a study,
            directories in use by a process, and directories outside outputs/ with other files.
    """
    refused = [problem for path in paths if (problem := _refusal(path)) is not None]
    if refused:
        raise ConfigError(refused)
    distinct = list({path.resolve(): path for path in paths}.values())
    users = _used_by([run for row in find_runs().rows if (run := row.run) is not None])
    going = []
    for path in distinct:
        if is_gone(outputs_root(), path):
            going.append(Planned(path, 0, "is gone; only its entry in the list of runs is deleted"))
            continue
        others = sorted({name for run in runs_in(path) for name in users.get(run.resolve(), ())})
        warning = f"{', '.join(others)} was initialized from it (init_from)" if others else ""
        going.append(Planned(path, size_of(path), warning))
    return Plan(going)


def plan_pruning(
    keep: int, metric: str | None, by: Sequence[str], conditions: Sequence[str] = (), *, unfinished: bool = False
) -> Plan:
    """The plan of `prune`, which keeps the best runs of each group in outputs/train.

    Active runs, sources of init_from and directories that other runs are part of are always kept.

    Args:
        keep: Number of runs to keep per group; a group of seeds counts as one run, by its mean.
        metric: The metric to rank by, None for the monitored metric of each run.
        by: Keys whose values define a group, such as model and data.
        conditions: Only runs that meet these conditions, as in `where`.
        unfinished: Whether to delete runs that failed, were interrupted or died too; they are ranked last.

    Raises:
        ConfigError: A key that no run has.
    """
    everything = find_runs().rows
    for key in by:
        refuse_unknown("--by", key, everything)
    if metric is not None:
        refuse_unknown("--metric", metric, everything)
    users = _used_by([row.run for row in everything if row.run is not None])
    chosen = where(everything, conditions)
    kinds: dict[tuple[str, ...], dict[Path, list[Row]]] = {}
    for row in chosen:
        kind = tuple(shown(row.value(key)) if row.value(key) is not ABSENT else "-" for key in by)
        key = metric or str(row.facts["monitor"])
        kinds.setdefault((*kind, key), {}).setdefault(_unit(row.path), []).append(row)
    going, kept = [], []
    for (*_, key), units in kinds.items():
        ranked = sorted(units, key=lambda path: _rank(units[path], key))
        best = [path for path in ranked if _score(units[path], key) is not None][:keep]
        for path in ranked:
            why = _why_kept(path, units[path], path in best, users, unfinished)
            if why:
                kept.append(KeptRun(path, why))
            else:
                going.append(Planned(path, size_of(path)))
    return Plan(going, kept)


def remove(plan: Plan) -> int:
    """Carry out a plan; returns the freed bytes. outputs/latest then points to the newest remaining run.

    Raises:
        ConfigError: A process has started to use a directory since the plan was made.
        DlexpError: A directory cannot be deleted.
    """
    freed = 0
    _remove_leftovers()
    try:
        for planned in plan.going:
            refused = _refusal(planned.path)
            if refused is not None:
                raise ConfigError([refused])
            if is_gone(outputs_root(), planned.path):
                forget(outputs_root(), planned.path)
                continue
            with ExitStack() as locks:  # a process that resumes it now gets an error
                for folder in {planned.path, *runs_in(planned.path)}:
                    locks.enter_context(RunDir(folder).lock())
                aside = planned.path.with_name(f"{_ASIDE}{os.getpid()}-{planned.path.name}")
                try:
                    planned.path.rename(aside)
                except OSError as error:
                    raise DlexpError(f"cannot delete {planned.path}: {error.strerror}", code="system-error") from error
            remove_folder(aside)
            forget(outputs_root(), planned.path)
            freed += planned.size
    finally:
        _repair_latest()
    return freed


def _refusal(path: Path) -> Problem | None:
    """Why a path must not be deleted, None if it may be."""
    where_it_is = str(path)
    if path.is_symlink():
        return Problem(
            where_it_is,
            "",
            f"is a link to {path.resolve()}",
            f"Use {command('runs', 'rm', path.resolve())}",
            code="not-supported",
        )
    if is_gone(outputs_root(), path):
        return None
    if not is_folder(path):
        rule, remedy = missing_run(where_it_is)
        meant = f"{remedy} " if remedy.endswith("?") else ""  # the newest run is no advice on what to delete
        return Problem(where_it_is, "", rule, f"{meant}List the runs: dlexp runs", code="not-found")
    marks = [mark for mark in (*MARKS.values(), ENSEMBLE_MARK) if is_file(path / mark)]
    if not marks and not is_group(path) and not is_sweep(path):
        rule = "is not a run, a group of seeds, a sweep, a study, a range test or an ensemble"
        return Problem(where_it_is, "", rule, code="incompatible-run")
    if _unit(path) != path:
        return Problem(
            where_it_is,
            "",
            f"is part of the group of seeds {path.parent}",
            f"Use {command('runs', 'rm', path.parent)}",
            code="not-supported",
        )
    for parent in path.resolve().parents:
        if is_file(parent / "study.json") or is_file(parent / "study.journal"):
            return Problem(
                where_it_is,
                "",
                f"is part of the study {parent}",
                f"Use {command('runs', 'rm', parent)}",
                code="not-supported",
            )
    busy = [lock.parent for lock in sorted(path.rglob(".lock")) if RunDir(lock.parent).is_locked()]
    if busy:
        return Problem(
            where_it_is, "", f"is in use by a process ({busy[0]})", "Wait for it, or stop it.", code="in-use"
        )
    if not path.resolve().is_relative_to(outputs_root().resolve()):
        jobs = runs_in(path)
        foreign = [entry.name for entry in sorted(path.iterdir()) if entry not in jobs and not _is_own(entry)]
        if foreign:
            rule = f"is outside {outputs_root()} and contains other files: {', '.join(foreign[:5])}"
            return Problem(
                where_it_is, "", rule, "Move the other files, or delete the directory manually.", code="not-supported"
            )
    return None


def _is_own(entry: Path) -> bool:
    return entry.name in _OWN or entry.name.startswith(_PREFIXES) or is_temporary(entry)


def _used_by(runs: Sequence[RunSummary]) -> Mapping[Path, list[str]]:
    """Run -> names of the runs that were initialized from it."""
    found: dict[Path, list[str]] = {}
    for run in runs:
        source = value_at(run.config, "init_from")
        if isinstance(source, str):
            place = named_run(source).resolve()
            for folder in (place, *place.parents[:2]):  # the run, or a checkpoint in it
                found.setdefault(folder, []).append(run.path.name)
    return found


def _unit(path: Path) -> Path:
    """The directory that is deleted as a unit: the group of seeds of a run, or the run itself."""
    return path.parent if path.name.startswith("seed-") and is_group(path.parent) else path


def _score(rows: Sequence[Row], key: str) -> float | None:
    """The mean of a metric over the runs of a unit; None if a run has none."""
    values = [row.value(key) for row in rows]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return statistics.fmean(numbers) if len(numbers) == len(values) else None


def _rank(rows: Sequence[Row], key: str) -> tuple[bool, float, float]:
    """The sort key: the best first, then the newest, and those without a value last."""
    score = _score(rows, key)
    sign = -1 if rows[0].directions.get(key) == "max" else 1
    return score is None, sign * (score or 0.0), float(rows[0].facts["age"])


def _why_kept(path: Path, rows: Sequence[Row], is_best: bool, users: Mapping[Path, list[str]], unfinished: bool) -> str:
    if is_best:
        return "one of the best runs"
    states = {str(row.facts["state"]) for row in rows}
    others = [name for run in runs_in(path) for name in users.get(run.resolve(), ())]
    if others:
        return f"{', '.join(sorted(set(others)))} was initialized from it"
    if states != {"finished"} and not unfinished:
        return f"{', '.join(sorted(states - {'finished'}))}, can be resumed with dlexp train --resume"
    if not path.resolve().is_relative_to(outputs_root().resolve()):
        return f"outside {outputs_root()}, delete it with {command('runs', 'rm', path)}"
    refused = _refusal(path)
    return f"{path.name} {refused.rule}" if refused is not None else ""


def _repair_latest() -> None:
    """Point outputs/latest to the newest remaining run if its target was deleted; remove it without runs."""
    link = outputs_root() / "latest"
    named = Path(read_text(link, errors="replace").strip()) if is_file(link) and not link.is_symlink() else link
    if named.exists() or not (link.is_symlink() or link.exists()):
        return
    newest = newest_runs()
    with suppress(OSError):
        link.unlink(missing_ok=True)
    if newest:
        RunDir(_unit(newest[0])).point_latest()


def _remove_leftovers() -> None:
    """Finish deletions that were killed after renaming a directory."""
    for kind in MARKS:
        for path in (outputs_root() / kind).glob(f"{_ASIDE}*"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
