"""The tree of outputs/: runs, groups of seeds, studies and sweeps, recognized by their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dlexp.artifacts.files.claims import refuse_files
from dlexp.artifacts.files.reading import is_file, is_folder
from dlexp.artifacts.files.writing import read_object
from dlexp.errors import DlexpError

# Kind, which is also the folder under outputs/ -> the file by which it is recognized.
MARKS = {"train": "config.yaml", "tune": "study.json", "lr-find": "lr_find.json"}
SWEEP_MARK = "jobs.json"
_STUDY_FILES = ("study.json", "study.journal", "base.yaml")  # the first is there once a trial has ended
_TRIALS = ("trials", "confirm")  # folders of a study
SWEEP_STATES = "sweep.json"
_MOST_DIGITS = 20


def is_group(folder: Path) -> bool:
    """Return whether a directory holds the runs of several seeds."""
    return not is_file(folder / "config.yaml") and any(folder.glob("seed-*/config.yaml"))


def members(folder: Path) -> list[Path]:
    """The runs of a group, by seed."""
    return sorted((path.parent for path in folder.glob("seed-*/config.yaml")), key=_seed_of)


def _seed_of(path: Path) -> tuple[int, str]:
    """Sort key of a group: the seed; a directory without a number is last."""
    number = path.name.partition("-")[2]
    return (int(number) if number.isdecimal() and len(number) < _MOST_DIGITS else 2**64, path.name)


def is_sweep(folder: Path) -> bool:
    """Return whether a directory is that of a sweep, `dlexp train -m`."""
    return is_file(folder / SWEEP_MARK)


def check_sweep(folder: Path) -> None:
    """Raise DlexpError, naming the file, for a damaged sweep; do nothing for a whole one and any other directory."""
    states, jobs = folder / SWEEP_STATES, folder / SWEEP_MARK
    if is_file(states) and not is_file(jobs):
        raise DlexpError(
            f"{jobs} not found: {folder} is a damaged sweep. Restore the file, or name its runs one by one.",
            code="corrupted",
        )
    for path in (jobs, states):
        if is_file(path):
            read_object(path)


def study_of_trial(folder: Path) -> Path | None:
    """The study of which a directory is a trial, or a trial repeated with another seed; None for other directories."""
    parent = folder.resolve().parent
    is_trial = parent.name in _TRIALS and any(is_file(parent.parent / name) for name in _STUDY_FILES)
    return parent.parent if is_trial else None


def runs_in(folder: Path) -> list[Path]:
    """The started runs of a group of seeds or a sweep; for any other directory, the directory itself."""
    if is_sweep(folder):
        return sorted(path.parent for path in folder.glob("*/config.yaml"))
    return members(folder) if is_group(folder) else [folder]


def best_job(sweep: Path) -> Path | None:
    """The run of the best finished job of a sweep, the first run if none has finished, None if none has started."""
    states = sweep / SWEEP_STATES
    content = read_object(states) if is_file(states) else {}
    jobs, best, runs = content.get("jobs"), content.get("best"), runs_in(sweep)
    name = None
    if isinstance(jobs, list) and isinstance(best, int) and 0 <= best < len(jobs) and isinstance(jobs[best], dict):
        name = jobs[best].get("run")
    return next((run for run in runs if run.name == name), next(iter(runs), None))


def directories(root: Path, kind: str) -> Iterator[Path]:
    """Every directory of a kind under the outputs folder `root`, unordered; groups and sweeps give their runs.

    Links, hidden directories and files are skipped. Invalid directories are included, for the reader to report.
    """
    folders = [root / kind, root / "sweep"] if kind == "train" else [root / kind]
    refuse_files(root, *folders)
    for folder in filter(is_folder, folders):
        with os.scandir(folder) as entries:
            there = [entry.path for entry in entries if not entry.name.startswith(".") and _is_own_folder(entry)]
        for name in there:
            # Most are runs; texts, since paths take three times as long for two questions about each of thousands.
            is_run = os.path.isfile(f"{name}/config.yaml") and not os.path.isfile(f"{name}/{SWEEP_MARK}")  # noqa: PTH113
            yield from [Path(name)] if is_run or kind != "train" else runs_in(Path(name))


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def size_of(folder: Path) -> int:
    """Size in bytes of the files in a directory; links are not followed, files deleted meanwhile not counted."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total
