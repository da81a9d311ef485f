"""Crash capsules: files from which the step that ended a run can be replayed.

crash/capsule.pt      tensors and plain values: batch, state before the step, generators, configuration
crash/crash.json      summary for people: where and what
crash/traceback.txt

The second capsule of a run is crash-2/, and so on. A directory appears with all its files or not at all.
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
        **dict.fromkeys(("state", "generators", "where", "environment"), OBJECT),
        **dict.fromkeys(("phase", "stage", "traceback"), TEXT),
        "losses": ListOf(TEXT),
        "error": OrNull(Record(required={"kind": TEXT, "message": TEXT})),
        "config": Record(required={"choices": OBJECT, "tree": OBJECT}),
        "data": Record(required={"spec": OBJECT, "samples": MapOf(WHOLE)}),
    }
)
_NAME = re.compile(r"crash(?:-(\d+))?")


def write_capsule(folder: Path, content: Mapping[str, Any], facts: Mapping[str, Any], traceback: str) -> Path:
    """Write a capsule into the run directory `folder`; returns the directory of the capsule.

    A failure with the same `facts` as an existing capsule is not written again; that capsule is returned.

    Args:
        folder: The run directory.
        content: Tensors and plain values, for capsule.pt.
        facts: Plain values, for crash.json.
        traceback: Text, for traceback.txt.

    Raises:
        DlexpError: The capsule cannot be written.
    """
    facts = finite_or_none(facts)
    for path in capsules(folder):
        try:
            known = read_run_file(path / "crash.json")
        except DlexpError:  # a corrupted capsule does not record this failure
            continue
        if {key: known.get(key) for key in facts} == facts:
            return path
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    payload = buffer.getvalue()
    summary = {**facts, "sha256": hashlib.sha256(payload).hexdigest()}
    return place_folder(
        folder,
        "crash",
        {
            "capsule.pt": payload,
            "crash.json": (json.dumps(summary, indent=2) + "\n").encode(),
            "traceback.txt": traceback.encode(errors="replace"),
        },
    )


def read_capsule(path: Path) -> dict[str, Any]:
    """The content of the capsule in directory `path`. Raises DlexpError if it is corrupted."""
    file = path / "capsule.pt"
    try:
        payload = read_bytes(file)
    except OSError as error:
        raise DlexpError(f"{file} cannot be read: {error.strerror}", code="system-error") from error
    if hashlib.sha256(payload).hexdigest() != read_run_file(path / "crash.json")["sha256"]:
        raise DlexpError(
            f"{file} is corrupted: its {len(payload)} bytes do not match the recorded hash", code="corrupted"
        )
    content = load_safely(payload, file)
    wrong = mismatch(content, _CONTENT)
    if wrong:
        raise DlexpError(f"{file} is not a crash capsule of dlexp: {wrong}", code="corrupted")
    return dict(content)


def capsules(folder: Path) -> list[Path]:
    """The capsules of a run, oldest first."""
    found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir() if (path / "crash.json").is_file()}
    numbers = {path: int(match[1] or 1) for path, match in found.items() if match}
    return sorted(numbers, key=lambda path: numbers[path])


def find_capsule(path: Path) -> Path:
    """The newest capsule of the run `path`, or the capsule in directory `path` itself. Raises ConfigError if none."""
    if is_file(path / "crash.json"):
        return path
    found = capsules(path) if is_folder(path) else []
    if not found:
        what = "has no crash capsule" if is_folder(path) else "does not exist"
        raise ConfigError.one(
            str(path), "", what, "Name a run with a directory crash/, or that directory.", code="not-found"
        )
    return found[-1]
