"""The networks that a command names for an ensemble: runs, groups of seeds, sweeps, ensembles, snapshots of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dlexp.artifacts.files.reading import is_file
from dlexp.artifacts.files.writing import read_object
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_tree import check_sweep, is_ensemble, is_group, is_sweep, runs_in
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import command
from dlexp.workflows.compare.same_data import refuse_other_data
from dlexp.workflows.run_record.ensemble_record import (
    SNAPSHOT_NAME,
    EnsembleMember,
    read_ensemble,
    refuse_checkpoint,
    refuse_twice,
    snapshot_epochs,
)
from dlexp.workflows.run_record.read import RunSummary, read_run_summary


def ensemble_members(
    folders: Sequence[Path], checkpoint: str, *, snapshots: bool = False, word: str = "--ensemble"
) -> list[EnsembleMember]:
    """The networks that directories stand for, each once, in order.

    Args:
        folders: Of runs, groups of seeds, sweeps and ensembles.
        checkpoint: best or last.
        snapshots: Whether the snapshots of each run are taken in place of its checkpoint.
        word: The option that asks for them, for messages.

    Raises:
        ConfigError: Anything else than such directories, a network that is named twice, fewer than two networks,
            and runs of other data, splits or classes: all problems at once.
    """
    found: list[EnsembleMember] = []
    problems: list[Problem] = []
    for folder in folders:
        try:
            found += _of(folder, checkpoint)
        except ConfigError as error:
            problems += error.problems
    if snapshots and not problems:
        found, problems = _snapshots(found)
    if problems:
        raise ConfigError(problems)
    refuse_twice(found)
    if len(found) < 2:
        raise _too_few(found, "--snapshots" if snapshots else word)
    summaries = [read_run_summary(run) for run in dict.fromkeys(member.run for member in found)]
    _refuse_others(summaries)
    return _labeled(found)


def _of(folder: Path, checkpoint: str) -> Iterator[EnsembleMember]:
    check_sweep(folder)
    if is_file(folder / "study.json"):
        raise _study(folder)
    if is_ensemble(folder):
        refuse_checkpoint(checkpoint)
        yield from read_ensemble(folder).members
    elif is_group(folder) or is_sweep(folder):
        yield from (EnsembleMember(run, checkpoint) for run in runs_in(folder))
    else:
        yield EnsembleMember(RunDir.find(folder).path, checkpoint)


def _study(folder: Path) -> ConfigError:
    """The refusal of a study, whose trials keep no weights, with the lines that train its best ones."""
    content = read_object(folder / "study.json")
    best = content.get("best") or {}
    first = Path(str(best["folder"])) if isinstance(best, dict) and best.get("folder") else folder
    rule = "is a study, whose trials keep no weights"
    line = command("train", "--from", first if (first / "config.yaml").is_file() else folder, "--seeds", "5")
    remedy = f"Train its best trial with several seeds, and name that group: {line}"
    return ConfigError.one(str(folder), "", rule, remedy, code="incompatible-run")


def _snapshots(found: Sequence[EnsembleMember]) -> tuple[list[EnsembleMember], list[Problem]]:
    members: list[EnsembleMember] = []
    problems: list[Problem] = []
    for member in found:
        names = [path.stem for path in snapshot_epochs(member.run).values()]
        members += [EnsembleMember(member.run, name) for name in names]
        if not names:
            remedy = f"Train with them: {command('train', '--from', member.run, 'trainer.snapshot_every=10')}"
            problems.append(Problem(str(member.run), "", "has no snapshots", remedy, code="missing-requirement"))
    return members, problems


def _too_few(found: Sequence[EnsembleMember], where: str) -> ConfigError:
    rule = f"requires at least two networks, got {len(found)}"
    remedy = "Name more runs, or a group of seeds as dlexp train --seeds 5 makes it"
    if where == "--snapshots":
        rule = f"requires at least two snapshots, got {len(found)}"
        remedy = "Train with a smaller trainer.snapshot_every, or more epochs."
    return ConfigError.one(where, "", rule, remedy, code="missing-value")


def _refuse_others(runs: Sequence[RunSummary]) -> None:
    """Raise ConfigError with every run whose data, split, classes or task are others than those of the first."""
    first, problems = runs[0], list[Problem]()
    for run in runs[1:]:
        try:
            refuse_other_data([first, run])
        except ConfigError as error:
            problems += [replace(one, remedy="Use runs that were trained on the same data.") for one in error.problems]
            continue
        rule, remedy = "", ""
        if run.meta.get("split_hash") != first.meta.get("split_hash"):
            rule = "was trained on another split, so what one run holds out another may have seen"
            remedy = "Use runs with the same data.split_seed, data.val_fraction and data.test_fraction."
        elif run.meta.get("outputs") != first.meta.get("outputs"):
            rule = f"predicts {_few(run)}, and {first.path} predicts {_few(first)}"
            remedy = "Use runs with the same classes or targets."
        elif run.choices.get("task") != first.choices.get("task"):
            rule = f"has task={run.choices.get('task')}, and {first.path} has task={first.choices.get('task')}"
            remedy = "Use runs of one task."
        if rule:
            problems.append(Problem(str(run.path), "", rule, remedy, code="incompatible-run"))
    if problems:
        raise ConfigError(problems)


def _few(run: RunSummary) -> str:
    names = [str(name) for name in run.meta.get("outputs", ())]
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"


def _labeled(found: Sequence[EnsembleMember]) -> list[EnsembleMember]:
    """The members with names that tell them apart: the snapshot, the run, or the last parts of its path."""
    runs = {member.run for member in found}
    if len(runs) == 1:
        return [replace(member, label=member.checkpoint.replace("_", " ")) for member in found]
    depth = 1
    names = [run.resolve().parts for run in runs]
    while len({parts[-depth:] for parts in names}) < len(names):
        depth += 1

    def label(member: EnsembleMember) -> str:
        own = "/".join(member.run.resolve().parts[-depth:])
        return f"{own} {member.checkpoint.replace('_', ' ')}" if member.checkpoint.startswith(SNAPSHOT_NAME) else own

    return [replace(member, label=label(member)) for member in found]
