"""The crash capsule: a step that ended a run, as files that make it happen again.

crash/capsule.pt      tensors and plain values: batch, state before the step, generators, configuration
crash/crash.json      where and what, to read
crash/traceback.txt

A second one goes to crash-2/, and so on. A directory appears with all its files or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.checkpoints.checkpoint import load_safely
from dlexp.artifacts.files.json_shapes import ANY, OBJECT, TEXT, WHOLE, ListOf, MapOf, OrNull, Record, mismatch
from dlexp.artifacts.files.reading import is_file, is_folder, read_bytes
from dlexp.artifacts.files.writing import finite_or_none, place_folder
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.errors import ConfigError, DlexpError

_CONTENT = Record(
    required={
        "repetition": WHOLE,
        "micro_batches": ListOf(ListOf(ANY)),
        **dict.fromkeys(("state", "generators", "where", "surroundings"), OBJECT),
        **dict.fromkeys(("phase", "stage", "traceback"), TEXT),
        "losses": ListOf(TEXT),
        "error": OrNull(Record(required={"kind": TEXT, "message": TEXT})),
        "config": Record(required={"choices": OBJECT, "tree": OBJECT}),
        "data": Record(required={"spec": OBJECT, "samples": MapOf(WHOLE)}),
    }
)
_NAME = re.compile(r"crash(?:-(\d+))?")


def write_capsule(folder: Path, content: Mapping[str, Any], facts: Mapping[str, Any], traceback: str) -> Path:
    """Put a capsule into the run directory `folder`; returns its directory.

    The same failure again, with equal `facts`, is not written twice: the capsule that is there is returned. Raises
    DlexpError when it cannot be written.
    """
    facts = finite_or_none(facts)
    for path in capsules(folder):
        try:
            known = read_run_file(path / "crash.json")
        except DlexpError:  # a damaged capsule is none that holds this failure
            continue
        if {key: known.get(key) for key in facts} == facts:
            return path
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    payload = buffer.getvalue()
    told = {**facts, "sha256": hashlib.sha256(payload).hexdigest()}
    return place_folder(
        folder,
        "crash",
        {
            "capsule.pt": payload,
            "crash.json": (json.dumps(told, indent=2) + "\n").encode(),
            "traceback.txt": traceback.encode(errors="replace"),
        },
    )


def read_capsule(path: Path) -> dict[str, Any]:
    """The content of the capsule in directory `path`. Raises DlexpError when it is damaged."""
    file = path / "capsule.pt"
    try:
        payload = read_bytes(file)
    except OSError as error:
        raise DlexpError(f"{file} cannot be read: {error.strerror}", code="system-error") from error
    if hashlib.sha256(payload).hexdigest() != read_run_file(path / "crash.json")["sha256"]:
        raise DlexpError(f"{file} is damaged: its {len(payload)} bytes are not what was written", code="corrupted")
    content = load_safely(payload, file)
    wrong = mismatch(content, _CONTENT)
    if wrong:
        raise DlexpError(f"{file} is no crash capsule of dlexp: {wrong}", code="corrupted")
    return dict(content)


def capsules(folder: Path) -> list[Path]:
    """The capsules of a run, oldest first."""
    found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir() if (path / "crash.json").is_file()}
    numbers = {path: int(match[1] or 1) for path, match in found.items() if match}
    return sorted(numbers, key=lambda path: numbers[path])


def find_capsule(path: Path) -> Path:
    """The capsule that is meant by a run, whose newest it is, or by a capsule's own directory. Raises ConfigError."""
    if is_file(path / "crash.json"):
        return path
    found = capsules(path) if is_folder(path) else []
    if not found:
        what = "has no crash capsule" if is_folder(path) else "does not exist"
        raise ConfigError.one(str(path), "", what, "a run whose step failed has one in crash/", code="not-found")
    return found[-1]
