"""One run, one directory: claimed by one process, named in status.json, never written by two.

config.yaml  overrides.yaml  command.txt   what was asked for
meta.json  git.diff  env.txt               with what code, machine and data
status.json                                how far it got
metrics.csv  metrics.jsonl  train.log      what happened
checkpoints/  plots/  eval/<split>/        what came out
crash/                                     the step that ended it, when one did
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import IO, Any

from dlexp.artifacts.files import is_temporary, read_object, remove_temporaries, write_json
from dlexp.errors import ConfigError, DlexpError, Interrupted, exit_code_of
from dlexp.quoting import command
from dlexp.runtime.clock import now_utc, stamp

UNFINISHED = ("running", "interrupted", "failed")
_HEARTBEAT_SECONDS = 10.0
_LEAST_SECONDS = 1.0  # between the words of two short epochs
_NAME, _MAX_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), 100
# What is written about a run before config.yaml, which makes the directory one: a start that was killed leaves these.
_BEFORE_IT_IS_A_RUN = (
    *(".lock", "batch_size.json", "lr_find", "overrides.yaml", "command.txt", "git.diff", "env.txt"),
    *("preprocessing.json", "meta.json"),
)
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 5, 0.02


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
                exact.mkdir(parents=True, exist_ok=True)
                return cls(exact)
            path.mkdir(parents=True, exist_ok=True)
            while True:
                fresh = path / f"{stamp()}-{name}-{os.urandom(2).hex()}"
                with suppress(FileExistsError):
                    fresh.mkdir()
                    return cls(fresh)
        except OSError as error:
            raise DlexpError(f"cannot make {path}: {error.strerror}") from error

    @classmethod
    def find(cls, path: Path) -> RunDir:
        """The run at `path`. Raises ConfigError when there is none."""
        if not (path / "config.yaml").is_file():
            what = "is no run directory (it has no config.yaml)" if path.exists() else "does not exist"
            newest = newest_runs()
            remedy = f"the newest run is {newest[0]}" if newest else "dlexp train makes one"
            raise ConfigError.one(str(path), "", what, remedy)
        return cls(path.resolve() if path.is_symlink() else path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one process that writes here; the system lets go of the lock when the process dies.

        Raises ConfigError naming the owner when there is one.
        """
        with self._lock_file() as file:
            try:
                _claim(file.fileno())
            except OSError as error:
                file.seek(0)
                owner = file.read().strip() or "another process"
                raise ConfigError.one(
                    str(self.path), "", f"is being written by {owner}", "wait for it, or stop it"
                ) from error
            file.seek(0)
            before = file.read()
            file.truncate(0)
            print(f"process {os.getpid()} on {os.uname().nodename} since {now_utc()}", file=file, flush=True)
            remove_temporaries(self.path)
            try:
                yield
            except ConfigError:  # what was refused leaves every file as it was
                file.truncate(0)
                print(before, end="", file=file, flush=True)
                raise

    def _lock_file(self) -> IO[str]:
        try:
            return (self.path / ".lock").open("a+")
        except OSError as error:
            raise DlexpError(f"cannot write in {self.path}: {error.strerror}") from error

    def is_locked(self) -> bool:
        """Whether a live process writes here."""
        try:
            with (self.path / ".lock").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look are not two who write
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @contextmanager
    def recording(self, epochs: int) -> Iterator[None]:
        """Keep status.json true while the body runs and however it ends."""
        previous = read_object(self / "status.json") if self._has_status() else {}
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
                error.add_note(str(second))
            raise
        self._status |= {"state": "finished", "exit_code": 0}
        self._write_status()

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
            lives, has_begun = self.is_locked(), (self / "status.json").is_file()
            reason = "killed before its first epoch"
            return Status("running" if lives else "interrupted", 0, 0, reason, None, has_begun and not lives)
        word = {"reason": "", "exit_code": None, **read_object(self / "status.json")}
        if not isinstance(word.get("state"), str) or not all(isinstance(word.get(n), int) for n in ("epoch", "epochs")):
            raise DlexpError(f"{self / 'status.json'} cannot be read: it does not say how far the run got")
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
        return path.is_file() and path.stat().st_size > 0

    def _write_status(self, durable: bool = True) -> None:
        self._last_beat = time.monotonic()
        write_json(self / "status.json", self._status | {"heartbeat": now_utc()}, durable)


def _claim(descriptor: int) -> None:
    """Take the lock; who only looks (`is_locked`) holds it for an instant, so one refusal is not believed."""
    for _ in range(_LOCK_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOCK_PAUSE_SECONDS)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def refuse_occupied(path: Path) -> None:
    """Raise ConfigError when a directory given for a new run holds something already.

    What a run that was killed before it began has left counts as nothing: its config.yaml is written last.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError.one("--run-dir", path, "is a file")
    if path.is_dir() and any(path.iterdir()) and not _is_a_start_that_was_killed(path):
        is_run = (path / "config.yaml").is_file()
        again = f"{command('train', '--resume', path)} continues the run in it"
        remedy = again if is_run else "name a new or empty directory"
        raise ConfigError.one("--run-dir", path, "is not empty", remedy)


def refuse_bad_name(where: str, name: str) -> None:
    """Raise ConfigError for a name that a person gives to a directory and that is none to be sure of."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or name == "latest":
        rule = f"is a directory's name: letters, digits, '.', '_' and '-', not first '.' or '-', {_MAX_NAME} at most"
        raise ConfigError.one(where, name, rule, "`latest` is taken" if name == "latest" else "")


def _is_a_start_that_was_killed(path: Path) -> bool:
    """Whether a directory holds nothing but what a run writes before it is one, so that nothing is lost in it."""
    entries = list(path.iterdir())
    claimed = any(entry.name == ".lock" for entry in entries)
    return claimed and all(entry.name in _BEFORE_IT_IS_A_RUN or is_temporary(entry) for entry in entries)


def newest_runs() -> list[Path]:
    """The runs under outputs/train and outputs/sweep, newest first; those of seeds and of a sweep count one by one."""
    root = outputs_root()
    found = [
        path.parent for depth in ("train/*", "train/*/*", "sweep/*/*") for path in root.glob(f"{depth}/config.yaml")
    ]
    return sorted(found, key=lambda path: (path / "config.yaml").stat().st_mtime_ns, reverse=True)


def newest_unfinished() -> RunDir:
    """The newest run that is neither finished nor alive. Raises ConfigError when there is none."""
    for path in newest_runs():
        run = RunDir(path)
        if run.status().state in UNFINISHED and not run.is_locked():
            return run
    raise ConfigError.one(
        "--resume", "", f"there is no unfinished run under {outputs_root() / 'train'}", "name one: --resume RUN"
    )


def named_run(name: str) -> Path:
    """The directory that a person means by `name`: a path, `latest`, or the name of a run or study under outputs/."""
    root = outputs_root()
    for path in (Path(name), root / name, *(root / kind / name for kind in ("train", "tune", "sweep", "adapt"))):
        if path.is_file() and path.name == "latest":
            return Path(path.read_text().strip())
        if path.is_dir():
            return path
    return Path(name)
