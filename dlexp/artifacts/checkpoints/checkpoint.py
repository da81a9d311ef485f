"""Checkpoints: tensors and plain containers, hashed, replaced in one step, read back without running anything.

checkpoints/last.pt       everything needed to continue
checkpoints/previous.pt   the one before it, for the day that last.pt is damaged
checkpoints/best.pt       the weights of the best epoch
checkpoints/hashes.json   the SHA-256 that each of them may have
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
from dlexp.artifacts.files.reading import is_there, read_bytes
from dlexp.artifacts.files.writing import flush_directory, replacing, write_bytes, write_json
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.errors import DlexpError, OutOfMemory
from dlexp.runtime.memory_budget import available_memory
from dlexp.runtime.out_of_memory import is_out_of_memory
from dlexp.runtime.tensors import tensor_bytes

_ON_DISK = 2  # contents of a name that can be there at once: last.pt and, as previous.pt, the one before it


class CheckpointStore:
    """The checkpoints of one run; only the owner of the run's lock may save."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._say = say
        self._there: set[str] = set()  # names that this process has saved or loaded
        self._saved: dict[str, list[str]] = {}  # name -> hashes of what this process has put in place

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Replace last.pt, and best.pt before it where there is a new best: last.pt speaks of it."""
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

    def load_last(self, *, owner: bool = True) -> dict[str, Any] | None:
        """The newest state that can be trusted, None where nothing was saved yet.

        A damaged file is named, and moved aside by the owner of the run's lock; who only looks moves nothing.
        Raises DlexpError when files are there, or were moved aside before, and none is whole.
        """
        damaged = []
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
                aside = _free_name(path)
                if owner:
                    path.replace(aside)
                    self._there.discard(name)
                    flush_directory(self.folder)
                what = f"moved to {aside.name}, " if owner else ""
                self._say(f"{error}; {what}trying the one before it")
                damaged.append(aside.name if owner else name)
        # What an earlier attempt moved aside is a beginning too: the run is not started over in silence.
        damaged = damaged or sorted(path.name for path in self.folder.glob("*.pt.damaged-*") if "best" not in path.name)
        if damaged:
            raise DlexpError(
                f"no whole checkpoint in {self.folder} (damaged: {', '.join(damaged)}); nothing was started over",
                code="corrupted",
            )
        return None

    def load_best(self) -> dict[str, Any] | None:
        """The weights of the best epoch, None before there is one. Raises DlexpError when the file is damaged."""
        self.check_there()
        path = self.folder / "best.pt"
        return _state_in(path, _bytes_of(path), self._hashes()) if is_there(path) else None

    def check_there(self) -> None:
        """Raise DlexpError where a checkpoint that this process has saved or loaded was deleted since."""
        gone = [name for name in ("last.pt", "best.pt") if name in self._there and not is_there(self.folder / name)]
        if gone:
            raise DlexpError(f"{self.folder / gone[0]} was deleted while this run was trained", code="not-found")

    def _save(self, path: Path, state: Mapping[str, Any]) -> None:
        self.check_there()
        try:
            self._replace(path, state)
        except DlexpError:
            self.check_there()  # what was deleted meanwhile is what is wrong
            raise

    def _replace(self, path: Path, state: Mapping[str, Any]) -> None:
        with replacing(path, tensor_bytes(state)) as file:
            hashing = _Hashing(file)
            hashing.save(state)
            # The hash goes first: a kill between the two writes leaves the old file with its old hash still listed. Old
            # hashes go only when this process has replaced every file they may belong to, however often it failed.
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
    """Bytes that the checkpoints of a run of `epochs` epochs fill, given a state as `save_last` gets it."""
    best = {"networks": state["networks"], "position": state["position"], "metrics": {}}
    return min(epochs, _ON_DISK) * _saved_bytes(state) + _saved_bytes(best)


def read_checkpoint(path: Path, hashes: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Nothing in the file is executed.

    Raises DlexpError for a file that is missing, damaged (its hash is not among `hashes`) or no checkpoint of dlexp.
    """
    return _state_in(path, _bytes_of(path), hashes)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file that weights come from in a DlexpError of the body, and what to do without it."""
    try:
        yield
    except DlexpError as error:
        raise DlexpError(f"{path}: {error}; choose another checkpoint or train again", code=error.code) from error


def _bytes_of(path: Path) -> bytes:
    """To be read before the hashes are: a hash is listed before its file is put in place, maybe while we look."""
    try:
        return read_bytes(path)
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error


def _state_in(path: Path, content: bytes, hashes: Mapping[str, list[str]] | None) -> dict[str, Any]:
    if hashes is not None and not any(hashlib.sha256(content).hexdigest() in known for known in hashes.values()):
        raise DlexpError(f"{path} is damaged: its {len(content)} bytes are not what was written", code="corrupted")
    state = load_safely(content, path)
    weights = state.get("networks") if isinstance(state, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in weights.items()
    ):
        raise DlexpError(f"{path} is no checkpoint of dlexp: it holds no `networks` of named tensors", code="corrupted")
    return dict(state)


def load_safely(content: bytes, path: Path) -> Any:
    """What torch.save wrote, on the CPU. Raises DlexpError that names `path`; nothing in it is executed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors that are refused afterwards
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are no checkpoint
        if is_out_of_memory(error) and available_memory() < 2 * len(content):
            raise OutOfMemory(f"memory ran out in reading {path}; close other programs") from error
        message = f"{path} is no checkpoint that can be loaded safely: it {why_not_loaded(error)}"
        raise DlexpError(message, code="untrusted" if holds_objects(error) else "corrupted") from error


def _saved_bytes(state: Mapping[str, Any]) -> int:
    """The size of the file that `state` makes, without making it."""
    counter = _Counter()
    torch.save(dict(state), counter)
    return counter.count


class _Counter(io.BytesIO):
    """A file that keeps nothing but the number of its bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def write(self, content: Any) -> int:
        self.count += len(content)
        return len(content)


class _Hashing(io.BytesIO):
    """Passes on what is written and hashes it on the way, so that no second copy of it is in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file, self._hash = file, hashlib.sha256()
        self._refused: OSError | None = None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint. Raises OSError as the file does; torch would make something else of it."""
        try:
            torch.save(dict(state), self)
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
        """The SHA-256 of everything so far."""
        return self._hash.hexdigest()


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside
