"""Checkpoints: tensors and plain containers, hashed, replaced in one step, read back without running anything.

checkpoints/last.pt       everything needed to resume
checkpoints/previous.pt   the last.pt before it, used if last.pt is corrupted
checkpoints/best.pt       the weights of the best epoch
checkpoints/hashes.json   the valid SHA-256 hashes of each
snapshots/epoch_0010.pt   the weights of an epoch, with trainer.snapshot_every; a store of its own
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from dlexp.artifacts.checkpoints.load_failure import holds_objects, why_not_loaded
from dlexp.artifacts.files.format_number import FORMAT, KEY, refuse_other_format
from dlexp.artifacts.files.reading import is_there, read_bytes
from dlexp.artifacts.files.writing import flush_directory, replacing, write_bytes, write_json
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.errors import DlexpError, OutOfMemory
from dlexp.runtime.memory_budget import available_memory
from dlexp.runtime.out_of_memory import is_out_of_memory
from dlexp.runtime.tensors import tensor_bytes

_ON_DISK = 2  # contents of one name on disk at once: last.pt and, as previous.pt, the one before it


class CheckpointStore:
    """The checkpoints of one run; only the owner of the run's lock may save."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say
        self._there: set[str] = set()  # names that this process has saved or loaded
        self._saved: dict[str, list[str]] = {}  # name -> hashes of the files that this process has written

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Replace last.pt, and before it best.pt if `best` is given: last.pt refers to it."""
        if best is not None:
            self.save_best(best)
        self.save_last(state)

    def save_last(self, state: Mapping[str, Any]) -> None:
        """Replace last.pt; the old one becomes previous.pt."""
        last, previous = self.folder / "last.pt", self.folder / "previous.pt"
        if last.is_file():
            spare = self.folder / f".tmp-{os.getpid()}-previous.pt"
            spare.unlink(missing_ok=True)
            try:
                spare.hardlink_to(last)
                spare.replace(previous)
                spare.unlink(missing_ok=True)  # where both were one file already, the rename did nothing
            except OSError:  # a file system without hard links
                write_bytes(previous, last.read_bytes())
        self._save(last, state)

    def save_best(self, state: Mapping[str, Any]) -> None:
        """Replace best.pt."""
        self._save(self.folder / "best.pt", state)

    def load_last(self, *, has_lock: bool = True) -> dict[str, Any] | None:
        """The newest valid state, None if nothing was saved yet.

        A corrupted file is reported, and renamed if `has_lock`: the caller holds the lock of the run.
        Raises DlexpError if there are checkpoints, renamed ones included, and none is valid.
        """
        corrupted = []
        for name in ("last.pt", "previous.pt"):
            path = self.folder / name
            if not is_there(path):
                continue
            content, hashes = _bytes_of(path), self._hashes()
            try:
                state = _state_in(path, content, hashes)
                self._there.add(name)
                return state
            except DlexpError as error:
                if error.code == "incompatible-run":  # intact, but of another format
                    raise
                aside = _free_name(path)
                if has_lock:
                    path.replace(aside)
                    self._there.discard(name)
                    flush_directory(self.folder)
                what = f"renamed to {aside.name}, " if has_lock else ""
                self._say(f"{error}; {what}trying the previous checkpoint")
                corrupted.append(aside.name if has_lock else name)
        # Renamed files of an earlier attempt count: a run that was trained is never restarted silently.
        corrupted = corrupted or sorted(
            path.name for path in self.folder.glob("*.pt.damaged-*") if "best" not in path.name
        )
        if corrupted:
            raise DlexpError(
                f"no valid checkpoint in {self.folder} (corrupted: {', '.join(corrupted)}). The run was not restarted.",
                code="corrupted",
            )
        return None

    def load_best(self) -> dict[str, Any] | None:
        """The weights of the best epoch, None before there is one. Raises DlexpError if the file is corrupted."""
        self.check_there()
        path = self.folder / "best.pt"
        return _state_in(path, _bytes_of(path), self._hashes()) if is_there(path) else None

    def save_as(self, name: str, state: Mapping[str, Any]) -> None:
        """Write NAME.pt, weights that are kept beside the others."""
        self._save(self.folder / f"{name}.pt", state)

    def load_as(self, name: str) -> dict[str, Any] | None:
        """The content of NAME.pt, None if there is none. Raises DlexpError if the file is corrupted."""
        path = self.folder / f"{name}.pt"
        return _state_in(path, _bytes_of(path), self._hashes()) if is_there(path) else None

    def check_there(self) -> None:
        """Raise DlexpError if a checkpoint that this process has saved or loaded was deleted since."""
        gone = [name for name in ("last.pt", "best.pt") if name in self._there and not is_there(self.folder / name)]
        if gone:
            raise DlexpError(f"{self.folder / gone[0]} was deleted during training", code="not-found")

    def _save(self, path: Path, state: Mapping[str, Any]) -> None:
        self.check_there()
        try:
            self._replace(path, state)
        except DlexpError:
            self.check_there()  # a deleted checkpoint is the better explanation
            raise

    def _replace(self, path: Path, state: Mapping[str, Any]) -> None:
        with replacing(path, tensor_bytes(state)) as file:
            hashing = _Hashing(file)
            hashing.save(state)
            # The hash is written first: after a kill between the two writes, the old file still has its hash in the
            # list. Old hashes are dropped only after this process has replaced every file they may belong to.
            hashes, saved = self._hashes(), self._saved.setdefault(path.name, [])
            known = saved[-_ON_DISK:] if len(saved) >= _ON_DISK else hashes.get(path.name, [])
            digest = hashing.digest()
            write_json(self.folder / "hashes.json", hashes | {path.name: [*known, digest]})
        self._there.add(path.name)
        self._saved[path.name] = [*saved[1 - _ON_DISK :], digest]

    def _hashes(self) -> dict[str, list[str]]:
        path = self.folder / "hashes.json"
        found: dict[str, list[str]] = read_run_file(path) if is_there(path) else {}
        return found


def checkpoint_bytes(state: Mapping[str, Any], epochs: int) -> int:
    """Disk space in bytes for the checkpoints of a run of `epochs` epochs; `state` is as for `save_last`."""
    best = {"networks": state["networks"], "position": state["position"], "metrics": {}}
    return min(epochs, _ON_DISK) * _saved_bytes(state) + _saved_bytes(best)


def read_checkpoint(path: Path, hashes: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; nothing in the file is executed.

    Raises DlexpError if the file is missing, corrupted (its hash is not in `hashes`) or not a checkpoint of dlexp.
    """
    return _state_in(path, _bytes_of(path), hashes)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file of the weights and a remedy to a DlexpError of the body."""
    try:
        yield
    except DlexpError as error:
        raise DlexpError(f"{path}: {error}. Use another checkpoint, or train again.", code=error.code) from error


def _bytes_of(path: Path) -> bytes:
    """The content of a file; read it before the hashes, which are written before the file they belong to."""
    try:
        return read_bytes(path)
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error


def _state_in(path: Path, content: bytes, hashes: Mapping[str, list[str]] | None) -> dict[str, Any]:
    if hashes is not None and not any(hashlib.sha256(content).hexdigest() in known for known in hashes.values()):
        raise DlexpError(
            f"{path} is corrupted: its {len(content)} bytes do not match the recorded hash", code="corrupted"
        )
    state = load_safely(content, path)
    if isinstance(state, dict):
        refuse_other_format(path, state)
        state.pop(KEY, None)
    weights = state.get("networks") if isinstance(state, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in weights.items()
    ):
        raise DlexpError(
            f"{path} is not a checkpoint of dlexp: `networks` with named tensors not found", code="corrupted"
        )
    return dict(state)


def load_safely(content: bytes, path: Path) -> Any:
    """The value that torch.save wrote, on the CPU, without executing anything. Raises DlexpError that names `path`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tensors that are rejected afterwards
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for invalid files
        if is_out_of_memory(error) and available_memory() < 2 * len(content):
            raise OutOfMemory(f"out of memory while reading {path}. Close other programs.") from error
        message = f"{path} cannot be loaded safely: it {why_not_loaded(error)}"
        raise DlexpError(message, code="untrusted" if holds_objects(error) else "corrupted") from error


def _saved_bytes(state: Mapping[str, Any]) -> int:
    """The size in bytes of the file for `state`, without writing it."""
    counter = _Counter()
    torch.save({KEY: FORMAT, **state}, counter)
    return counter.count


class _Counter(io.BytesIO):
    """A file that counts its bytes and discards them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def write(self, content: Any) -> int:
        self.count += len(content)
        return len(content)


class _Hashing(io.BytesIO):
    """A file that writes and hashes at once, so that no second copy is in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file, self._hash = file, hashlib.sha256()
        self._refused: OSError | None = None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint. Raises the OSError of the file, which torch would replace by a RuntimeError."""
        try:
            torch.save({KEY: FORMAT, **state}, self)
        except RuntimeError:
            if self._refused is None:
                raise
        if self._refused is not None:
            raise self._refused

    def write(self, content: Any) -> int:
        self._hash.update(content)
        try:
            return self._file.write(content)
        except OSError as error:
            self._refused = error
            raise

    def digest(self) -> str:
        """The SHA-256 of all bytes written so far."""
        return self._hash.hexdigest()


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside
