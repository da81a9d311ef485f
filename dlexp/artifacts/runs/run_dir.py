"""One run, one directory: claimed by one process, named in status.json, never written by two.

config.yaml  overrides.yaml  command.txt   what was asked for
meta.json  git.diff  env.txt               with what code, machine and data
status.json                                how far it got
metrics.csv  metrics.jsonl  train.log      what happened
checkpoints/  plots/  eval/<split>/        what came out
crash/                                     the step that ended it, when one did
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import check_claims, claimed, make_folder
from dlexp.artifacts.files.lock_file import is_locked, lock, open_lock
from dlexp.artifacts.files.new_folder import refuse_occupied
from dlexp.artifacts.files.reading import check_regular, is_file, is_folder, is_there, read_text
from dlexp.artifacts.files.writing import remove_temporaries, write_json
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.errors import Code, ConfigError, DlexpError, Interrupted, exit_code_of
from dlexp.text.time_format import now_utc, stamp

UNFINISHED = ("running", "interrupted", "failed")
_HEARTBEAT_SECONDS = 10.0
_LEAST_SECONDS = 1.0  # between the words of two short epochs
# What is written about a run before config.yaml, which makes the directory one: a start that was killed leaves these.


def outputs_root() -> Path:
    """Where run directories are made: DLEXP_RUNS_DIR, or outputs/ in the current folder."""
    return Path(os.environ.get("DLEXP_RUNS_DIR") or "outputs")


@dataclass(frozen=True)
class Status:
    """What status.json says, corrected by whether the process still lives.

    died  its last word was that it runs, and its process is gone
    """

    state: str
    epoch: int
    epochs: int
    reason: str
    exit_code: int | None
    died: bool = False


class RunDir:
    """A run directory that exists; `create` makes a new one, `find` names an old one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_beat, self._last_epoch = 0.0, -inf  # when the last word was written, and the last of an epoch
        self._status: dict[str, Any] = {}

    @classmethod
    def create(cls, kind: str, name: str, exact: Path | None) -> RunDir:
        """A new directory: `exact`, or outputs/<kind>/<time>-<name>-<4hex>; making it is what claims it.

        Raises ConfigError when `exact` holds anything already, DlexpError where no directory can be made.
        """
        path = exact or outputs_root() / kind
        try:
            if exact is not None:
                refuse_occupied(exact)
                make_folder(exact)
                return cls(exact)
            make_folder(path)
            while True:
                fresh = path / f"{stamp()}-{name}-{os.urandom(2).hex()}"
                with suppress(FileExistsError):
                    fresh.mkdir()
                    return cls(fresh)
        except OSError as error:
            raise DlexpError(f"cannot make {path}: {error.strerror}", code="system-error") from error

    @classmethod
    def find(cls, path: Path) -> RunDir:
        """The run at `path`. Raises ConfigError when there is none."""
        try:
            has_config, exists = is_there(path / "config.yaml"), path.exists()
            if has_config:
                check_regular(path / "config.yaml")
        except OSError as error:  # a folder of somebody else, a name that no file system takes
            rule = f"cannot be looked into: {error.strerror}"
            raise ConfigError.one(str(path), "", rule, code="system-error") from error
        if not has_config:
            what = "is no run directory (it has no config.yaml)" if exists else "does not exist"
            newest = newest_runs()
            remedy = f"the newest run is {newest[0]}" if newest else "dlexp train makes one"
            raise ConfigError.one(str(path), "", what, remedy, code="not-found")
        return cls(path.resolve() if path.is_symlink() else path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one process that writes here; the system lets go of the lock when the process dies.

        Raises ConfigError naming the owner when there is one.
        """
        with open_lock(self.path / ".lock") as file:
            try:
                lock(file.fileno())
            except OSError as error:
                file.seek(0)
                owner = file.read().strip() or "another process"
                rule = f"is being written by {owner}"
                raise ConfigError.one(str(self.path), "", rule, "wait for it, or stop it", code="in-use") from error
            file.seek(0)
            before = file.read()
            file.truncate(0)
            print(f"process {os.getpid()} on {os.uname().nodename} since {now_utc()}", file=file, flush=True)
            remove_temporaries(self.path)
            try:
                with claimed(self.path):
                    yield
            except ConfigError:  # what was refused leaves every file as it was
                file.truncate(0)
                print(before, end="", file=file, flush=True)
                raise

    def is_locked(self) -> bool:
        """Whether a live process writes here."""
        return is_locked(self.path / ".lock")

    @contextmanager
    def recording(self, epochs: int) -> Iterator[None]:
        """Keep status.json true while the body runs and however it ends."""
        previous = read_run_file(self / "status.json") if self._has_status() else {}
        self._status = {
            "state": "running",
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "started": previous.get("started", now_utc()),
            "epoch": previous.get("epoch", 0),
            "epochs": epochs,
            "exit_code": None,
            "reason": "",
        }
        self._write_status()
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, Interrupted | KeyboardInterrupt)
            self._status |= {
                "state": "interrupted" if stopped else "failed",
                "exit_code": exit_code_of(error),
                "reason": str(error) or type(error).__name__,
            }
            try:
                self._write_status()
            except DlexpError as second:  # a full disk must not hide the first failure
                if str(second) != str(error):
                    error.add_note(str(second))
            raise
        self._status |= {"state": "finished", "exit_code": 0}
        self._write_status()

    def check_whole(self) -> None:
        """Raise DlexpError where the directory, or a file that makes it a run, was deleted since the run began."""
        check_claims(self / "config.yaml")
        for name in (".lock", "config.yaml", "meta.json", "status.json"):
            if not is_file(self / name):
                message = f"{self / name} was deleted while this run was trained; it cannot be resumed without"
                raise DlexpError(message, code="not-found")

    def beat(self, epoch: int | None = None) -> None:
        """Say that the run lives; writes when the last word is some seconds old, or that of an epoch not quite new."""
        now = time.monotonic()
        if epoch is not None:
            self._status["epoch"] = epoch
            is_due = now - self._last_epoch >= _LEAST_SECONDS
            self._last_epoch = now if is_due else self._last_epoch
        else:
            is_due = now - self._last_beat >= _HEARTBEAT_SECONDS
        if is_due:
            self._write_status(durable=False)

    def status(self) -> Status:
        """How far the run got; a run whose process is gone is interrupted, whatever its last word was."""
        if not self._has_status():
            lives, has_begun = self.is_locked(), is_file(self / "status.json")
            reason = "killed before its first epoch"
            return Status("running" if lives else "interrupted", 0, 0, reason, None, has_begun and not lives)
        word = {"reason": "", "exit_code": None, **read_run_file(self / "status.json")}
        died = word["state"] == "running" and not self.is_locked()
        if died:
            word |= {"state": "interrupted", "reason": "the process ended without a word (killed, or power lost)"}
        return Status(word["state"], word["epoch"], word["epochs"], word["reason"], word["exit_code"], died)

    def point_latest(self) -> None:
        """Make outputs/latest name this run, when it lies under outputs/ and is no part of a verification."""
        root = outputs_root().resolve()
        here = self.path.resolve()
        if not here.is_relative_to(root) or here.is_relative_to(root / "verify"):
            return
        link, temporary = root / "latest", root / f".latest-{os.getpid()}"
        temporary.unlink(missing_ok=True)
        try:
            temporary.symlink_to(here.relative_to(root))
            temporary.replace(link)
        except OSError:  # a file system without links: a text file says the same
            temporary.unlink(missing_ok=True)
            link.write_text(f"{here}\n")

    def _has_status(self) -> bool:
        """Whether there is a word; an empty file is what a power cut may leave of a heartbeat, and is none."""
        path = self / "status.json"
        return is_there(path) and not (is_file(path) and path.stat().st_size == 0)

    def _write_status(self, durable: bool = True) -> None:
        self._last_beat = time.monotonic()
        write_json(self / "status.json", self._status | {"heartbeat": now_utc()}, durable)


def newest_runs() -> list[Path]:
    """The runs under outputs/train and outputs/sweep, newest first; those of seeds and of a sweep count one by one."""
    root = outputs_root()
    found = [
        path.parent for depth in ("train/*", "train/*/*", "sweep/*/*") for path in root.glob(f"{depth}/config.yaml")
    ]
    return sorted(found, key=_written, reverse=True)


def _written(path: Path) -> int:
    """When a run's config.yaml was written, in nanoseconds; 0 where that cannot be seen."""
    try:
        return (path / "config.yaml").stat().st_mtime_ns
    except OSError:
        return 0


def newest_unfinished() -> RunDir:
    """The newest run that is neither finished nor alive. Raises ConfigError when there is none."""
    for path in newest_runs():
        run = RunDir(path)
        try:
            state = run.status().state
        except DlexpError as error:  # it may be the one that is meant
            rule = f"cannot tell which run is meant: {error}"
            raise ConfigError.one("--resume", "", rule, "name one: --resume RUN", code=error.code) from error
        if state in UNFINISHED and not run.is_locked():
            return run
    rule = f"there is no unfinished run under {outputs_root() / 'train'}"
    raise ConfigError.one("--resume", "", rule, "name one: --resume RUN", code="not-found")


def named_run(name: str) -> Path:
    """The directory that a person means by `name`: a path, `latest`, or the name of a run or study under outputs/."""
    root = outputs_root()
    for path in (Path(name), root / name, *(root / kind / name for kind in ("train", "tune", "sweep", "adapt"))):
        if path.name == "latest" and is_file(path):
            return _target_of(path)
        if is_folder(path):
            return path
    return Path(name)


def _target_of(latest: Path) -> Path:
    """What a file says that stands for the link outputs/latest. Raises ConfigError where it cannot be read."""
    try:
        return Path(read_text(latest).strip())
    except (OSError, ValueError) as error:
        code: Code = "system-error" if isinstance(error, OSError) else "corrupted"
        raise ConfigError.one(str(latest), "", f"cannot be read: {error}", "name the run itself", code=code) from error
