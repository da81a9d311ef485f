"""What the directory of a study holds beside its records: whether records were lost, so that nothing is written over.

The records are written before trials.csv and before a trial's own directory. So whatever those know, the records know,
unless somebody removed, emptied or cut them.
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
    """Raise ConfigError where the file of the records is missing or empty, and `folder` holds trials all the same."""
    if path.is_file() and path.stat().st_size:
        return
    if signs_in(folder):
        _refuse(str(path), "is empty" if path.exists() else "not found", folder)


def refuse_lost_study(records: optuna.storages.BaseStorage, place: str, name: str, folder: Path) -> None:
    """Raise ConfigError where the storage at `place` has no study `name`, and `folder` holds trials of it."""
    if not signs_in(folder):
        return
    known = optuna.get_all_study_names(records)
    if name not in known:
        _refuse(place, f"holds no study {name} (it has {', '.join(sorted(known)) or 'none'})", folder)


def refuse_lost_trials(study: optuna.Study, place: str, folder: Path) -> None:
    """Raise ConfigError where trials.csv or trials/ of `folder` has a trial that the study at `place` lacks, or has
    otherwise.
    """
    known = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    for number, state, value in _table(folder / "trials.csv"):
        trial = known.get(number)
        if trial is None:
            _refuse(place, f"lacks trial {number}, which trials.csv has", folder)
        elif trial.state != state or not _is_same(trial, value):
            here, there = f"{trial.state.name.lower()}, {trial.value}", f"{state.name.lower()}, {value}"
            _refuse(place, f"has trial {number} as {here} and trials.csv as {there}", folder)
    for path in sorted((folder / "trials").glob("[0-9]*")):
        if path.name.isdigit() and int(path.name) not in known:
            _refuse(place, f"lacks trial {int(path.name)}, whose directory is {path}", folder)


def signs_in(folder: Path) -> list[str]:
    """The files and directories in `folder` that a study has left."""
    paths = ((name, folder / name) for name in _SIGNS)
    return [name for name, path in paths if (any(path.iterdir()) if path.is_dir() else path.is_file())]


def _table(path: Path) -> Iterator[tuple[int, TrialState, float | None]]:
    """(number, state, value) of the trials of trials.csv that have ended; nothing of a file that is no such table."""
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
    """Raise ConfigError with the ways out."""
    found = ", ".join(f"{name}/" if (folder / name).is_dir() else name for name in signs_in(folder))
    aside = next(path for n in count(1) if not (path := folder.with_name(f"{folder.name}-old-{n}")).exists())
    move = shlex.join(["mv", os.fspath(folder), os.fspath(aside)])
    ways = "Restore the records from a copy, name the --storage that the study was made in, use another --name, or move"
    rule = f"{rule}, but {folder} holds the results of a study ({found})"
    raise ConfigError.one(where, "", rule, f"{ways} the directory aside: {move}", code="incompatible-run")
