"""The register of runs in directories outside outputs/, such as those of --run-dir: a file for each, with its path.

A file for each run needs no lock, and a process that is killed leaves the others as they are.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dlexp.artifacts.files.reading import is_folder, read_bytes
from dlexp.artifacts.files.writing import write_bytes
from dlexp.artifacts.runs.run_tree import is_sweep, runs_in
from dlexp.errors import DlexpError

FOLDER = ".elsewhere"  # under outputs/


def register(root: Path, folder: Path) -> None:
    """Remember that a run, a group of seeds or a sweep outside `root` exists; runs inside are found without.

    Args:
        root: The folder outputs/.
        folder: The directory; of a part of a group or a sweep, the whole is remembered.

    Raises DlexpError if the register cannot be written.
    """
    here = folder.resolve()
    is_part = here.name.startswith("seed-") or is_sweep(here.parent)
    here = here.parent if is_part else here
    if here.is_relative_to(root.resolve()):
        return
    file = _file_of(root, here)
    try:
        if file.is_file():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DlexpError(f"cannot write {file}: {error.strerror}", code="system-error") from error
    write_bytes(file, os.fsencode(here) + b"\n")


def forget(root: Path, folder: Path) -> bool:
    """Remove a directory from the register; returns whether it was in it."""
    file = _file_of(root, folder.resolve())
    known = file.is_file()
    file.unlink(missing_ok=True)
    return known


def registered(root: Path) -> list[Path]:
    """The directories of the register, also those that do not exist any more, unordered."""
    found = []
    for file in (root / FOLDER).glob("*.txt"):
        try:
            found.append(Path(os.fsdecode(read_bytes(file).removesuffix(b"\n"))))
        except OSError:  # deleted meanwhile
            continue
    return [path for path in found if path.is_absolute()]


def runs_elsewhere(root: Path) -> list[Path]:
    """The run directories outside `root`, those of groups and sweeps one by one; a directory that is gone, as it is."""
    return [run for path in registered(root) for run in (runs_in(path) if is_folder(path) else [path])]


def is_gone(root: Path, folder: Path) -> bool:
    """Return whether a directory is in the register and does not exist any more: it was moved or deleted."""
    return not is_folder(folder) and _file_of(root, folder.resolve()).is_file()


def _file_of(root: Path, folder: Path) -> Path:
    """The file of a directory in the register."""
    return root / FOLDER / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.txt"
