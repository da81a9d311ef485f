"""Detection of lost records of a study, from the other files in its directory.

The records are written before trials.csv and before the directory of a trial. If these contain a trial that the records
lack, the records were deleted, emptied or truncated.
"""

from __future__ import annotations

import csv
import math
import os
import shlex
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NoReturn

import optuna
from optuna.trial import FrozenTrial, TrialState

from dlexp.errors import ConfigError

_SIGNS = ("study.json", "trials.csv", "best.yaml", "trials", "confirm")
_ENDED = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "requeued": TrialState.FAIL,
}


def refuse_lost_file(path: Path, folder: Path) -> None:
    """Raise ConfigError if the file of the records is missing or empty, but `folder` has trials."""
    if path.is_file() and path.stat().st_size:
        return
    if signs_in(folder):
        _refuse(str(path), "is empty" if path.exists() else "not found", folder)


def refuse_lost_study(records: optuna.storages.BaseStorage, place: str, name: str, folder: Path) -> None:
    """Raise ConfigError if the storage at `place` has no study `name`, but `folder` has its trials."""
    if not signs_in(folder):
        return
    known = optuna.get_all_study_names(records)
    if name not in known:
        _refuse(place, f"has no study {name} (only {', '.join(sorted(known)) or 'none'})", folder)


def refuse_lost_trials(study: optuna.Study, place: str, folder: Path) -> None:
    """Raise ConfigError if trials.csv or trials/ of `folder` contradict the study at `place`."""
    known = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    for number, state, value in _table(folder / "trials.csv"):
        trial = known.get(number)
        if trial is None:
            _refuse(place, f"has no trial {number}, which is in trials.csv", folder)
        elif trial.state != state or not _is_same(trial, value):
            here, there = f"{trial.state.name.lower()}, {trial.value}", f"{state.name.lower()}, {value}"
            _refuse(place, f"has trial {number} as {here}, but trials.csv as {there}", folder)
    for path in sorted((folder / "trials").glob("[0-9]*")):
        if path.name.isdigit() and int(path.name) not in known:
            _refuse(place, f"has no trial {int(path.name)}, which has the directory {path}", folder)


def signs_in(folder: Path) -> list[str]:
    """The files and directories of a study in `folder`."""
    paths = ((name, folder / name) for name in _SIGNS)
    return [name for name, path in paths if (any(path.iterdir()) if path.is_dir() else path.is_file())]


def _table(path: Path) -> Iterator[tuple[int, TrialState, float | None]]:
    """(number, state, value) of the finished trials in trials.csv; empty for an invalid file."""
    try:
        lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError, csv.Error):
        return
    for line in lines:
        number, state, value = (line.get(name) or "" for name in ("trial", "state", "value"))
        if not number.isdigit() or state not in _ENDED:
            continue
        try:
            yield int(number), _ENDED[state], float(value) if value else None
        except ValueError:
            continue


def _is_same(trial: FrozenTrial, value: float | None) -> bool:
    if trial.value is None or value is None or math.isnan(value):
        return value is None or math.isnan(value)
    return math.isclose(trial.value, value, rel_tol=1e-9)


def _refuse(where: str, rule: str, folder: Path) -> NoReturn:
    """Raise ConfigError with the remedies."""
    found = ", ".join(f"{name}/" if (folder / name).is_dir() else name for name in signs_in(folder))
    aside = next(path for n in count(1) if not (path := folder.with_name(f"{folder.name}-old-{n}")).exists())
    move = shlex.join(["mv", os.fspath(folder), os.fspath(aside)])
    ways = "Restore the records from a backup, use the original --storage, use another --name, or move"
    rule = f"{rule}, but {folder} has results of the study ({found})"
    raise ConfigError.one(where, "", rule, f"{ways} the directory with {move}", code="incompatible-run")
